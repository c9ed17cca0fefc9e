//! [`Mutant`]: a small change of a C source that makes a device wrong, and how such changes are found.

use serde::{Deserialize, Serialize};

use crate::lex::{Function, Kind, Token, closing, functions, tokens};

/// One change: within one line, of one token or of what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutant {
    /// The source file, relative to the source tree.
    pub file: String,
    /// The function that it is in.
    pub function: String,
    /// What kind of change it is.
    pub change: Change,
    /// The line, counted from 1.
    pub line: usize,
    /// Where it begins in the file, in bytes.
    pub start: usize,
    /// The text that is there.
    pub original: String,
    /// The text in its place.
    pub replacement: String,
}

/// The kinds of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A comparison that includes or leaves out its boundary, or is the opposite.
    Comparison,
    /// `&&` for `||` and the other way.
    Logic,
    /// A shift in the other direction.
    Shift,
    /// `+` for `-` and the other way.
    Arithmetic,
    /// A mask that is dropped or lacks a bit.
    Mask,
    /// A bit that is not set.
    Or,
    /// A constant one too large.
    Constant,
    /// A condition that is negated.
    Condition,
    /// A `case` that falls through into the next.
    FallThrough,
    /// A statement that is not there.
    Deletion,
    /// A function that returns early.
    Return,
}

impl Mutant {
    /// The source with this change in it.
    ///
    /// `None` if the source is not the one that the change was found in.
    pub fn apply(&self, source: &str) -> Option<String> {
        let end = self.start + self.original.len();
        if source.get(self.start..end) != Some(&self.original) {
            return None;
        }
        Some([&source[..self.start], &self.replacement, &source[end..]].concat())
    }
}

/// Functions that describe a device to QEMU or to people rather than make it work.
const DESCRIBING: [&str; 19] = [
    "class_init",
    "realize",
    "instance_init",
    "_initfn",
    "register_types",
    "post_load",
    "pre_load",
    "pre_save",
    "post_save",
    "_needed",
    "vmstate",
    "_finalize",
    "trace_",
    "_to_name",
    "qmp_",
    "build_aml",
    "save_device",
    "load_device",
    "_class_",
];

/// Calls whose absence no guest can see.
const UNSEEN: [&str; 21] = [
    "trace_",
    "DPRINTF",
    "error_",
    "warn_",
    "info_",
    "qemu_log",
    "g_assert",
    "assert",
    "printf",
    "fprintf",
    "abort",
    "g_free",
    "g_strfreev",
    "g_clear_",
    "g_unref",
    "qemu_vfree",
    "g_autofree",
    "rcu_",
    "smp_",
    "QEMU_",
    "VMSTATE_",
];

/// The longest text that a change replaces.
const LONGEST: usize = 78;

/// All changes that could be made to a source file.
pub(crate) fn candidates(source: &str, file: &str) -> Vec<Mutant> {
    let tokens = tokens(source);
    let mut found = Vec::new();
    for function in functions(&tokens) {
        if DESCRIBING.iter().any(|part| function.name.contains(part)) {
            continue;
        }
        Finder {
            source,
            file,
            tokens: &tokens,
            function: &function,
            found: &mut found,
        }
        .search();
    }
    found
}

struct Finder<'a> {
    source: &'a str,
    file: &'a str,
    tokens: &'a [Token<'a>],
    function: &'a Function<'a>,
    found: &'a mut Vec<Mutant>,
}

impl Finder<'_> {
    fn search(&mut self) {
        let (first, end) = (self.function.first, self.function.end);
        let mut fixed = vec![false; end];
        let mut statements = Vec::new();
        let mut at = first;
        while at < end {
            if self.begins_statement(at) {
                let last = self.statement_end(at);
                if self.is_unseen(at) {
                    fixed[at..=last.min(end - 1)].fill(true);
                    at = last + 1;
                    continue;
                }
                if self.tokens[last].is(";") {
                    if self.is_expression(at) {
                        statements.push((at, last));
                    } else if self.is_declaration(at) {
                        // An array's size is not what the device does; an initial value is.
                        for (token, fixed) in self.tokens[at..last].iter().zip(&mut fixed[at..last])
                        {
                            if token.is("=") {
                                break;
                            }
                            *fixed = true;
                        }
                    }
                }
            }
            at += 1;
        }
        for at in (first..end).filter(|&at| !fixed[at]) {
            self.at_token(at);
        }
        for (nr, &(begin, last)) in statements.iter().enumerate() {
            let (start, end) = (self.tokens[begin].start, self.tokens[last].end());
            self.add(Change::Deletion, start, end, ";");
            if self.function.returns_nothing && nr + 1 < statements.len() {
                self.add(Change::Return, start, end, "return;");
            }
        }
    }

    fn begins_statement(&self, at: usize) -> bool {
        let before = &self.tokens[at - 1];
        let after_condition =
            before.is(")") && self.tokens[at].kind == Kind::Word && !self.tokens[at].is("if");
        after_condition
            || [";", "{", "}", "else", "do", ":"]
                .iter()
                .any(|text| before.is(text))
    }

    /// The `;` that ends a statement, or the brace that begins its block.
    fn statement_end(&self, begin: usize) -> usize {
        let mut depth = 0;
        for at in begin..self.function.end {
            let token = &self.tokens[at];
            match token.text {
                "(" | "[" => depth += 1,
                ")" | "]" => depth -= 1,
                ";" | "{" | "}" if depth == 0 => return at,
                _ => {}
            }
        }
        self.function.end
    }

    fn is_unseen(&self, at: usize) -> bool {
        let token = &self.tokens[at];
        token.kind == Kind::Word
            && (token.is("static") || UNSEEN.iter().any(|begin| token.text.starts_with(begin)))
    }

    fn is_expression(&self, at: usize) -> bool {
        let (token, next) = (&self.tokens[at], &self.tokens[at + 1]);
        let begins = token.kind == Kind::Word
            && !is_keyword(token.text)
            && (["->", ".", "[", "(", "++", "--"].contains(&next.text) || is_assignment(next.text));
        begins || ["*", "++", "--"].iter().any(|text| token.is(text))
    }

    fn is_declaration(&self, at: usize) -> bool {
        let (token, next) = (&self.tokens[at], &self.tokens[at + 1]);
        token.kind == Kind::Word
            && !is_control(token.text)
            && (is_keyword(token.text) || next.kind == Kind::Word || next.is("*"))
    }

    fn at_token(&mut self, at: usize) {
        let token = self.tokens[at];
        let (before, next) = (self.tokens[at - 1], self.tokens[at + 1]);
        // An operator between two operands, not a sign or an address.
        let binary = match before.kind {
            Kind::Word => !is_keyword(before.text),
            Kind::Number | Kind::Char => true,
            _ => before.is(")") || before.is("]"),
        };
        if token.kind == Kind::Number {
            if !before.is("&") && !before.is("case") {
                self.constant(&token);
            }
            return;
        }
        let (start, end) = (token.start, token.end());
        let simple = match token.text {
            "<" => Some((Change::Comparison, "<=")),
            "<=" => Some((Change::Comparison, "<")),
            ">" => Some((Change::Comparison, ">=")),
            ">=" => Some((Change::Comparison, ">")),
            "==" => Some((Change::Comparison, "!=")),
            "!=" => Some((Change::Comparison, "==")),
            "&&" => Some((Change::Logic, "||")),
            "||" => Some((Change::Logic, "&&")),
            "<<" => Some((Change::Shift, ">>")),
            ">>" => Some((Change::Shift, "<<")),
            "+=" => Some((Change::Arithmetic, "-=")),
            "-=" => Some((Change::Arithmetic, "+=")),
            "+" if binary => Some((Change::Arithmetic, "-")),
            "-" if binary => Some((Change::Arithmetic, "+")),
            _ => None,
        };
        if let Some((change, replacement)) = simple {
            self.add(change, start, end, replacement);
        } else if token.is("&") && binary {
            self.operand_dropped(Change::Mask, at);
            if next.kind == Kind::Number {
                self.mask_bits(&next);
            }
        } else if token.is("|") && binary {
            self.operand_dropped(Change::Or, at);
        } else if token.is("if") && next.is("(") {
            if let Some(close) = closing(self.tokens, at + 1) {
                let (start, end) = (next.start, self.tokens[close].end());
                let negated = format!("(!{})", &self.source[start..end]);
                self.add(Change::Condition, start, end, &negated);
            }
        } else if token.is("break")
            && next.is(";")
            && ["case", "default"]
                .iter()
                .any(|text| self.tokens[at + 2].is(text))
        {
            self.add(Change::FallThrough, start, next.end(), ";");
        }
    }

    /// `a & B` and `a | B` without `& B`.
    fn operand_dropped(&mut self, change: Change, at: usize) {
        let inverted = self.tokens[at + 1].is("~");
        let operand = if inverted { at + 2 } else { at + 1 };
        let (token, after) = (&self.tokens[operand], &self.tokens[operand + 1]);
        let end = if token.is("(") {
            closing(self.tokens, operand).map(|close| self.tokens[close].end())
        } else if matches!(token.kind, Kind::Word | Kind::Number)
            && !["(", "->", ".", "["].iter().any(|text| after.is(text))
        {
            Some(token.end())
        } else {
            None
        };
        if let Some(end) = end {
            self.add(change, self.tokens[at].start, end, "");
        }
    }

    /// A mask without its lowest, and without its highest bit.
    fn mask_bits(&mut self, number: &Token<'_>) {
        let Some(value) = value_of(number.text).filter(|&value| value != 0) else {
            return;
        };
        let lowest = value & (value - 1);
        let highest = value & !(1 << value.ilog2());
        self.add(
            Change::Mask,
            number.start,
            number.end(),
            &format!("{lowest:#x}"),
        );
        if highest != lowest {
            self.add(
                Change::Mask,
                number.start,
                number.end(),
                &format!("{highest:#x}"),
            );
        }
    }

    fn constant(&mut self, number: &Token<'_>) {
        let Some(value) = value_of(number.text).and_then(|value| value.checked_add(1)) else {
            return;
        };
        let replacement = if number.text.starts_with("0x") {
            format!("{value:#x}")
        } else {
            value.to_string()
        };
        self.add(Change::Constant, number.start, number.end(), &replacement);
    }

    fn add(&mut self, change: Change, start: usize, end: usize, replacement: &str) {
        let original = &self.source[start..end];
        if original.contains('\n') || original.len() > LONGEST {
            return;
        }
        self.found.push(Mutant {
            file: self.file.to_owned(),
            function: self.function.name.to_owned(),
            change,
            line: 1 + self.source[..start].matches('\n').count(),
            start,
            original: original.to_owned(),
            replacement: replacement.to_owned(),
        });
    }
}

fn value_of(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(['u', 'U', 'l', 'L']);
    match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None if digits.len() > 1 && digits.starts_with('0') => None,
        None => digits.parse().ok(),
    }
}

fn is_keyword(word: &str) -> bool {
    const KEYWORDS: &str = "if for while switch return break continue goto case default do else typedef static const struct union \
                            enum extern volatile unsigned signed int char long short void bool float double sizeof";
    KEYWORDS.split_whitespace().any(|keyword| keyword == word)
}

fn is_control(word: &str) -> bool {
    [
        "break", "case", "continue", "default", "do", "else", "for", "goto", "if", "return",
        "switch", "while",
    ]
    .contains(&word)
}

fn is_assignment(text: &str) -> bool {
    [
        "=", "+=", "-=", "|=", "&=", "^=", "<<=", ">>=", "*=", "/=", "%=",
    ]
    .contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> Vec<(Change, String, String)> {
        candidates(&format!("static void f(S *s)\n{{\n{body}\n}}\n"), "f.c")
            .into_iter()
            .map(|mutant| (mutant.change, mutant.original, mutant.replacement))
            .collect()
    }

    fn has(body: &str, change: Change, original: &str, replacement: &str) {
        let found = of(body);
        let wanted = (change, original.to_owned(), replacement.to_owned());
        assert!(found.contains(&wanted), "{found:?}");
    }

    #[test]
    fn each_kind_of_change_is_found() {
        has("if (a < 5) { b(); }", Change::Comparison, "<", "<=");
        has("if (a && b) { c(); }", Change::Logic, "&&", "||");
        has("s->a = b << 2;", Change::Shift, "<<", ">>");
        has("s->a = b - 2;", Change::Arithmetic, "-", "+");
        has("s->a = b & 0x1f;", Change::Mask, "& 0x1f", "");
        has("s->a = b & 0x1f;", Change::Mask, "0x1f", "0x1e");
        has("s->a = b & 0x1f;", Change::Mask, "0x1f", "0xf");
        has("s->a = b & ~MASK;", Change::Mask, "& ~MASK", "");
        has("s->a = b | FLAG;", Change::Or, "| FLAG", "");
        has("s->a = 0x0f;", Change::Constant, "0x0f", "0x10");
        has("if (a) { b(); }", Change::Condition, "(a)", "(!(a))");
        has(
            "switch (a) { case 1: b(); break; default: c(); }",
            Change::FallThrough,
            "break;",
            ";",
        );
        has("s->a = 1;", Change::Deletion, "s->a = 1;", ";");
        has(
            "s->a = 1; s->b = 2;",
            Change::Return,
            "s->a = 1;",
            "return;",
        );
    }

    #[test]
    fn what_no_guest_can_see_is_left_alone() {
        assert_eq!(of("trace_f(1 + 2, a & 3);"), []);
        assert_eq!(of("char text[16];"), []);
        assert_eq!(
            of("s->p = &s->q;")
                .iter()
                .filter(|found| found.0 == Change::Mask)
                .count(),
            0
        );
        let describing = "static void f_class_init(S *s)\n{\n s->a = 1;\n}\n";
        assert_eq!(candidates(describing, "f.c"), []);
    }

    #[test]
    fn a_change_knows_its_place_and_refuses_another_source() {
        let source = "void f(void)\n{\n    g = 1;\n}\n";
        let mutant = candidates(source, "f.c")
            .into_iter()
            .find(|mutant| mutant.change == Change::Constant)
            .unwrap();
        assert_eq!(mutant.line, 3);
        assert_eq!(mutant.apply(source).unwrap(), source.replace('1', "2"));
        assert_eq!(mutant.apply("void f(void)\n{\n    hh = 1;\n}\n"), None);
    }
}
