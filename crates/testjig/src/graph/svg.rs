//! The [`Tree`] as a picture that browsers show: one row a place, columns by distance from the machine.

use std::fmt::Write;

use super::tree::{Branch, Tree};

/// Pixels: a column, a row, a box, and the margin.
const COLUMN: usize = 290;
const ROW: usize = 46;
const WIDTH: usize = 240;
const HEIGHT: usize = 34;
const MARGIN: usize = 12;

const STYLE: &str = "text{font:12px sans-serif;fill:#111}.sub{font-size:10px;fill:#555}\
rect{fill:#eef3fb;stroke:#3b6ea8}.machine rect{fill:#dfe9d8;stroke:#4d7a35}\
.gone rect{fill:#f4f4f4;stroke:#999;stroke-dasharray:4 3}.gone text{fill:#888}\
path{fill:none;stroke:#3b6ea8}path.gone{stroke:#aaa;stroke-dasharray:4 3}";

impl Tree {
    /// A scalable picture, complete in itself. What is out of reach is dashed; the reason is under the label and in its tooltip.
    pub fn svg(&self) -> String {
        let mut body = String::new();
        let mut row = 0;
        let mut columns = 0;
        for machine in &self.machines {
            place(machine, 0, &mut row, &mut columns, &mut body);
        }
        let width = (columns + 1) * COLUMN + MARGIN;
        let height = row * ROW + 2 * MARGIN;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\
             <title>The graph: machines and what sits on them</title><style>{STYLE}</style>\n{body}</svg>\n"
        )
    }
}

/// Draws a branch from the next free row on; returns the middle of its own box.
fn place(
    branch: &Branch,
    column: usize,
    row: &mut usize,
    columns: &mut usize,
    body: &mut String,
) -> usize {
    *columns = (*columns).max(column);
    let (x, y) = (MARGIN + column * COLUMN, MARGIN + *row * ROW);
    let middle = y + HEIGHT / 2;
    let class = match (&branch.unreachable, column) {
        (Some(_), _) => "gone",
        (None, 0) => "machine",
        (None, _) => "place",
    };
    let counted = branch.counted();
    let below = branch.unreachable.as_ref().unwrap_or(&counted);
    let _ = writeln!(
        body,
        "<g class=\"{class}\"><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"4\"/>\
         <text x=\"{text}\" y=\"{first}\">{}</text><text class=\"sub\" x=\"{text}\" y=\"{second}\">{}</text></g>",
        escaped(&[branch.gives.name(), below].join(": ")),
        escaped(&short(
            &format!("{} · {}", branch.label, branch.gives.name()),
            36
        )),
        escaped(&short(below, 46)),
        text = x + 8,
        first = y + 14,
        second = y + 28,
    );
    if branch.children.is_empty() {
        *row += 1;
    }
    let (from, to) = (x + WIDTH, x + COLUMN);
    let bend = usize::midpoint(from, to);
    for child in &branch.children {
        let end = place(child, column + 1, row, columns, body);
        let class = if child.unreachable.is_some() {
            " class=\"gone\""
        } else {
            ""
        };
        let _ = writeln!(
            body,
            "<path{class} d=\"M{from} {middle}C{bend} {middle} {bend} {end} {to} {end}\"/>"
        );
    }
    middle
}

/// Text that fits into a box; the tooltip has it whole.
fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tree::tests::tree;

    #[test]
    fn every_place_is_a_box_and_text_is_escaped() {
        let svg = tree().svg();
        assert_eq!(svg.matches("<rect").count(), 3, "{svg}");
        assert_eq!(svg.matches("<path").count(), 2, "{svg}");
        assert_eq!(svg.matches("class=\"gone\"").count(), 2, "a box and a line");
        assert!(svg.contains("&quot;odd&quot; &lt;card&gt;"), "{svg}");
        assert!(!svg.contains("<card>"), "{svg}");
        assert!(svg.contains("this QEMU has no device odd"), "{svg}");
    }

    #[test]
    fn long_labels_are_cut_where_letters_end() {
        assert_eq!(short("äöüäöü", 4), "äöü…");
        assert_eq!(short("äöü", 3), "äöü");
    }
}
