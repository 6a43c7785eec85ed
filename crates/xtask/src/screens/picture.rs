//! What a terminal shows, as an SVG that looks the same everywhere.
//!
//! Understands what `tmux capture-pane -e` writes: text, line ends, and the sequences that choose colors and weight.

use std::fmt::Write as _;

/// The size of a character and of a line, in pixels.
const CHARACTER: usize = 9;
const LINE: usize = 20;

/// Around the text.
const MARGIN: usize = 16;

/// The bar with the title.
const BAR: usize = 32;

/// Fonts whose characters are all equally wide. Each run is stretched to the width that it should have.
const FONTS: &str = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace";

/// The colors of a terminal.
pub(super) struct Theme {
    background: &'static str,
    bar: &'static str,
    border: &'static str,
    text: &'static str,
    /// Black, red, green, yellow, blue, magenta, cyan, white.
    palette: [&'static str; 8],
}

pub(super) const LIGHT: Theme = Theme {
    background: "#ffffff",
    bar: "#f6f8fa",
    border: "#d1d9e0",
    text: "#1f2328",
    palette: [
        "#1f2328", "#cf222e", "#116329", "#7d4e00", "#0550ae", "#8250df", "#1b6e75", "#59636e",
    ],
};

pub(super) const DARK: Theme = Theme {
    background: "#0d1117",
    bar: "#161b22",
    border: "#3d444d",
    text: "#e6edf3",
    palette: [
        "#8b949e", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#e6edf3",
    ],
};

/// How characters look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Style {
    color: Option<usize>,
    bold: bool,
    dim: bool,
    reverse: bool,
}

/// Characters of one line that look alike.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    column: usize,
    text: String,
    style: Style,
}

/// Draws a capture as a window with a title.
pub(super) fn picture(capture: &str, title: &str, theme: &Theme) -> String {
    let lines = lines(capture);
    let ends = lines.iter().flatten();
    let columns = ends.map(|run| run.column + run.text.chars().count()).max();
    let width = columns.unwrap_or(0) * CHARACTER + 2 * MARGIN;
    let height = BAR + lines.len() * LINE + MARGIN;
    let Theme {
        background,
        bar,
        border,
        text,
        ..
    } = theme;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"{FONTS}\" font-size=\"15\" fill=\"{text}\" role=\"img\">\n<title>{title}</title>\n\
         <rect x=\".5\" y=\".5\" width=\"{}\" height=\"{}\" rx=\"8\" fill=\"{background}\" stroke=\"{border}\"/>\n\
         <path d=\"M1 {BAR}V9a8 8 0 0 1 8-8H{}a8 8 0 0 1 8 8V{BAR}Z\" fill=\"{bar}\"/>\n\
         <text x=\"{MARGIN}\" y=\"21\" font-size=\"13\">$ {title}</text>\n",
        width - 1,
        height - 1,
        width - 9,
        title = escaped(title),
    );
    for (number, line) in lines.iter().enumerate() {
        for run in line {
            draw(&mut svg, run, BAR + (number + 1) * LINE, theme);
        }
    }
    svg + "</svg>\n"
}

fn draw(svg: &mut String, run: &Run, baseline: usize, theme: &Theme) {
    let x = MARGIN + run.column * CHARACTER;
    let width = run.text.chars().count() * CHARACTER;
    let mut color = run
        .style
        .color
        .map_or(theme.text, |color| theme.palette[color]);
    if run.style.reverse {
        let y = baseline + 5 - LINE;
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{LINE}\" fill=\"{color}\"/>"
        );
        color = theme.background;
    }
    let blank = run.text.len() - run.text.trim_start().len();
    let text = run.text.trim();
    if text.is_empty() {
        return;
    }
    let x = x + blank * CHARACTER;
    let width = text.chars().count() * CHARACTER;
    let weight = if run.style.bold {
        " font-weight=\"700\""
    } else {
        ""
    };
    let opacity = if run.style.dim { " opacity=\".7\"" } else { "" };
    let fill = if color == theme.text {
        String::new()
    } else {
        format!(" fill=\"{color}\"")
    };
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{baseline}\" textLength=\"{width}\" lengthAdjust=\"spacingAndGlyphs\" \
         xml:space=\"preserve\"{weight}{opacity}{fill}>{}</text>",
        escaped(text)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The runs of each line. A style lasts beyond the end of a line.
fn lines(capture: &str) -> Vec<Vec<Run>> {
    let mut style = Style::default();
    let lines = capture.trim_end_matches('\n').split('\n');
    lines.map(|line| runs(line, &mut style)).collect()
}

fn runs(line: &str, style: &mut Style) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut column = 0;
    for (index, part) in line.split("\x1b[").enumerate() {
        let text = match part.split_once('m').filter(|_| index > 0) {
            Some((codes, text)) => {
                change(style, codes);
                text
            }
            None => part,
        };
        if !text.is_empty() {
            let run = Run {
                column,
                text: text.to_owned(),
                style: *style,
            };
            column += text.chars().count();
            runs.push(run);
        }
    }
    runs
}

/// Applies the numbers of one sequence, such as `1;38;5;6`. A color of the background changes nothing.
fn change(style: &mut Style, codes: &str) {
    let mut codes = codes
        .split(';')
        .map(|code| code.parse::<usize>().unwrap_or(0));
    while let Some(code) = codes.next() {
        match code {
            0 => *style = Style::default(),
            1 => style.bold = true,
            2 => style.dim = true,
            7 => style.reverse = true,
            22 => (style.bold, style.dim) = (false, false),
            27 => style.reverse = false,
            30..=37 => style.color = Some(code - 30),
            90..=97 => style.color = Some(code - 90),
            38 => style.color = codes.nth(1).map(|color| color % 8),
            48 => drop(codes.nth(1)),
            39 => style.color = None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: Style = Style {
        color: Some(1),
        bold: false,
        dim: false,
        reverse: false,
    };

    fn run(column: usize, text: &str, style: Style) -> Run {
        Run {
            column,
            text: text.to_owned(),
            style,
        }
    }

    #[test]
    fn runs_have_places_and_styles_that_last_until_they_change() {
        let capture = "a \x1b[38;5;1m✖ b\x1b[1;7m c\nd\x1b[0m e\x1b[49m f\n\n";
        let strong = Style {
            bold: true,
            reverse: true,
            ..RED
        };
        let plain = Style::default();
        let expected = vec![
            vec![
                run(0, "a ", plain),
                run(2, "✖ b", RED),
                run(5, " c", strong),
            ],
            vec![
                run(0, "d", strong),
                run(1, " e", plain),
                run(3, " f", plain),
            ],
        ];
        assert_eq!(lines(capture), expected);
    }

    #[test]
    fn a_picture_holds_every_run_at_its_place_in_the_colors_of_its_theme() {
        let picture = picture("ab \x1b[31mx<y\x1b[0m\n\x1b[7mz\x1b[0m", "t & u", &DARK);
        for part in [
            "<title>t &amp; u</title>",
            "<text x=\"16\" y=\"52\" textLength=\"18\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\">ab</text>",
            "<text x=\"43\" y=\"52\" textLength=\"27\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\" fill=\"#ff7b72\">x&lt;y</text>",
            "<rect x=\"16\" y=\"57\" width=\"9\" height=\"20\" fill=\"#e6edf3\"/>",
            "fill=\"#0d1117\">z</text>",
            "viewBox=\"0 0 86 88\"",
        ] {
            assert!(picture.contains(part), "{part} is not in\n{picture}");
        }
    }
}
