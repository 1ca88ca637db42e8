//! Pages with plots that need nothing else.

use std::fmt::Write as _;

/// The size of a plot.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
/// Room for the numbers beside the axes.
const LEFT: f64 = 64.0;
const BELOW: f64 = 32.0;
const RIGHT: f64 = 24.0;

const STYLE: &str = ":root{color-scheme:light dark;--ink:#222;--paper:#fff;--line:#ccc;--a:#0b62a4;--b:#c2410c}\
    @media(prefers-color-scheme:dark){:root{--ink:#ddd;--paper:#161616;--line:#444;--a:#6bb3f0;--b:#ff9a5c}}\
    body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:760px;margin:2em auto;\
    padding:0 1em}svg{width:100%;height:auto}text{fill:var(--ink);font-size:11px}pre{overflow-x:auto}\
    .a{stroke:var(--a);fill:none;stroke-width:2}.b{stroke:var(--b);fill:none;stroke-width:2}.g{stroke:var(--line)}";

/// A page of its own.
#[must_use]
pub fn document(title: &str, about: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>\
         <p>{about}</p>{body}</html>\n"
    )
}

/// Two lines over the same places, with a logarithmic scale.
#[expect(clippy::cast_precision_loss, reason = "few places")]
#[must_use]
pub fn plot(title: &str, names: &[&str], lines: &[(&str, Vec<f64>); 2]) -> String {
    let values = || lines.iter().flat_map(|(_, values)| values.iter().copied()).filter(|value| *value > 0.0);
    let low = values().fold(f64::INFINITY, f64::min).log10().floor();
    let high = values().fold(f64::MIN_POSITIVE, f64::max).log10().ceil().max(low + 1.0);
    let across = |at: usize| LEFT + (WIDTH - LEFT - RIGHT) * at as f64 / (names.len().max(2) - 1) as f64;
    let up = |value: f64| {
        let share = (value.max(f64::MIN_POSITIVE).log10() - low) / (high - low);
        8.0 + (HEIGHT - BELOW - 8.0) * (1.0 - share)
    };
    let mut drawn = String::new();
    let mut decade = low;
    while decade <= high {
        let (y, value) = (up(10_f64.powf(decade)), 10_f64.powf(decade));
        let _ = write!(drawn, "<path class=\"g\" d=\"M{LEFT} {y:.1}H{WIDTH}\"/>");
        let _ = write!(drawn, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>", LEFT - 6.0, y + 4.0);
        decade += 1.0;
    }
    let step = names.len().div_ceil(12).max(1);
    for (at, name) in names.iter().enumerate().step_by(step) {
        let (x, y) = (across(at), HEIGHT - BELOW + 18.0);
        let _ = write!(drawn, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{name}</text>");
    }
    for ((name, values), class) in lines.iter().zip(["a", "b"]) {
        let points = values.iter().enumerate().map(|(at, value)| format!("{:.1} {:.1}", across(at), up(*value)));
        let _ = write!(drawn, "<path class=\"{class}\" d=\"M{}\"/>", points.collect::<Vec<_>>().join("L"));
        if let (Some(last), false) = (values.last(), names.is_empty()) {
            let (x, y) = (across(names.len() - 1), up(*last) - 6.0);
            let _ = write!(drawn, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{name}</text>");
        }
    }
    format!("<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\">{drawn}</svg></figure>")
}
