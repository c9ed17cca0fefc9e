//! C source as tokens with their places, as far as planting changes needs it.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A word: a keyword or a name.
    Word,
    Number,
    Char,
    String,
    Operator,
}

/// A token: its kind and the bytes it takes up in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    pub(crate) start: usize,
}

impl Token<'_> {
    pub(crate) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    pub(crate) fn is(&self, text: &str) -> bool {
        self.text == text && matches!(self.kind, Kind::Word | Kind::Operator)
    }
}

/// Operators of more than one character, longest first.
const OPERATORS: [&str; 22] = [
    "<<=", ">>=", "...", "->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=",
    "-=", "*=", "/=", "%=", "&=", "^=", "|=",
];

/// The tokens of a C source; comments and preprocessor lines are left out.
pub(crate) fn tokens(source: &str) -> Vec<Token<'_>> {
    let bytes = source.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    let mut line_is_empty = true;
    while at < bytes.len() {
        let rest = &source[at..];
        let byte = bytes[at];
        if byte == b'\n' {
            line_is_empty = true;
            at += 1;
            continue;
        }
        if byte.is_ascii_whitespace() || !byte.is_ascii() {
            at += 1;
            while !source.is_char_boundary(at) {
                at += 1;
            }
            continue;
        }
        if rest.starts_with("/*") {
            at += rest.find("*/").map_or(rest.len(), |end| end + 2);
            continue;
        }
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        if byte == b'#' && line_is_empty {
            at += directive(rest);
            continue;
        }
        line_is_empty = false;
        let (kind, len) = match byte {
            b'"' => (Kind::String, quoted(rest, b'"')),
            b'\'' => (Kind::Char, quoted(rest, b'\'')),
            b'0'..=b'9' => (Kind::Number, number(rest)),
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => (Kind::Word, word(rest)),
            _ => {
                let long = OPERATORS
                    .iter()
                    .find(|operator| rest.starts_with(**operator));
                (Kind::Operator, long.map_or(1, |operator| operator.len()))
            }
        };
        tokens.push(Token {
            kind,
            text: &rest[..len],
            start: at,
        });
        at += len;
    }
    tokens
}

fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

fn number(text: &str) -> usize {
    let mut last = '0';
    text.find(|c: char| {
        let exponent = matches!(c, '+' | '-') && matches!(last, 'e' | 'E' | 'p' | 'P');
        let more = c.is_ascii_alphanumeric() || c == '_' || c == '.' || exponent;
        last = c;
        !more
    })
    .map_or(text.len(), |len| {
        // A hexadecimal number that ends in `e` has no exponent.
        let hexadecimal = text.starts_with("0x") || text.starts_with("0X");
        let sign = text[..len].find(['+', '-']);
        sign.filter(|_| hexadecimal).unwrap_or(len)
    })
}

fn quoted(text: &str, quote: u8) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != quote && bytes[at] != b'\n' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    let mut end = (at + 1).min(text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    end
}

/// A preprocessor line with those that continue it.
fn directive(text: &str) -> usize {
    let mut at = 0;
    loop {
        let Some(end) = text[at..].find('\n') else {
            return text.len();
        };
        let continued = text[..at + end].ends_with('\\');
        at += end + 1;
        if !continued {
            return at - 1;
        }
    }
}

/// The index of the bracket that closes the one at `open`.
pub(crate) fn closing(tokens: &[Token<'_>], open: usize) -> Option<usize> {
    let (opens, closes) = match tokens[open].text {
        "(" => ("(", ")"),
        "[" => ("[", "]"),
        _ => ("{", "}"),
    };
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        if token.is(opens) {
            depth += 1;
        } else if token.is(closes) {
            depth -= 1;
            if depth == 0 {
                return Some(index);
            }
        }
    }
    None
}

/// A function's body: tokens from the one after `{` up to its `}`.
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    pub(crate) first: usize,
    pub(crate) end: usize,
    pub(crate) returns_nothing: bool,
}

/// The functions that are defined at the top level.
pub(crate) fn functions<'a>(tokens: &[Token<'a>]) -> Vec<Function<'a>> {
    let mut found = Vec::new();
    let mut begin = 0;
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].is("(") {
            at = closing(tokens, at).map_or(tokens.len(), |end| end + 1);
        } else if tokens[at].is("{") {
            let Some(end) = closing(tokens, at) else {
                break;
            };
            if at > 0 && tokens[at - 1].is(")") {
                if let Some(open) = (begin..at)
                    .find(|&open| tokens[open].is("(") && closing(tokens, open) == Some(at - 1))
                {
                    if open > begin {
                        let head = &tokens[begin..open - 1];
                        found.push(Function {
                            name: tokens[open - 1].text,
                            first: at + 1,
                            end,
                            returns_nothing: head.iter().any(|token| token.is("void"))
                                && !head.iter().any(|token| token.is("*")),
                        });
                    }
                }
            }
            at = end + 1;
            begin = at;
        } else {
            if tokens[at].is(";") {
                begin = at + 1;
            }
            at += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        tokens(source).iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_directives_are_no_tokens() {
        let source = "#define A \\\n  1\nint a; /* b; */ // c\n  # if 0\nint d;";
        assert_eq!(texts(source), ["int", "a", ";", "int", "d", ";"]);
    }

    #[test]
    fn operators_are_as_long_as_they_can_be() {
        assert_eq!(
            texts("a<<=b>>c->d&&!e"),
            ["a", "<<=", "b", ">>", "c", "->", "d", "&&", "!", "e"]
        );
    }

    #[test]
    fn numbers_and_quotations_are_whole() {
        assert_eq!(
            texts("0x3e+1 1.5e-3f 'a' '\\'' \"x\\\"y\""),
            ["0x3e", "+", "1", "1.5e-3f", "'a'", "'\\''", "\"x\\\"y\""]
        );
    }

    #[test]
    fn functions_are_told_from_other_braces() {
        let source = "struct s { int a; };\nstatic void f(int a) { g(); }\nint *h(void)\n{ return 0; }\nint t[] = { 1, 2 };";
        let tokens = tokens(source);
        let found: Vec<_> = functions(&tokens)
            .iter()
            .map(|function| (function.name, function.returns_nothing))
            .collect();
        assert_eq!(found, [("f", true), ("h", false)]);
    }
}
