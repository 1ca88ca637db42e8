//! A burst as a page: a line for each client, a bar for each call, in the order in which they began and ended.

use std::fmt::Write;

use ff_backend_memory::{Obs, Op};

use super::{Burst, Deed, Recorded, Violation};

/// Pixels between two begins or ends.
const STEP: u64 = 14;
/// Pixels between two clients.
const ROW: usize = 46;
const TOP: usize = 30;
/// Pixels of a bar in which two numbers fit; another has room for one.
const WIDE: u64 = 46;

/// The page: calls in the longest order that can be explained are green and numbered by it, those that could come next
/// are red.
#[must_use]
pub fn timeline(burst: &Burst, violation: &Violation) -> String {
    let end = burst.calls.iter().map(|call| call.returned.unwrap_or(call.invoked)).max().unwrap_or_default() + 2;
    let clients = burst.calls.iter().map(|call| call.client).max().unwrap_or_default() + 1;
    let mut page = String::from(HEAD);
    // Writing to a string cannot fail.
    let _ = write_body(&mut page, burst, violation, end, clients);
    page
}

fn write_body(page: &mut String, burst: &Burst, violation: &Violation, end: u64, clients: usize) -> std::fmt::Result {
    let Violation { requirement, checker, text, .. } = violation;
    write!(page, "<h1>{requirement} is broken</h1><p>Found by <b>{checker}</b> in the burst of seed {}", burst.seed)?;
    write!(page, " on {}. Begins and ends stand in their order; distances mean nothing.</p>", escaped(&burst.label))?;
    write!(page, "<pre>{}</pre><div class=board>", escaped(text))?;
    let (width, height) = (end * STEP + 90, clients * ROW + TOP);
    write!(page, "<svg width={width} height={height} viewBox=\"0 0 {width} {height}\" role=img>")?;
    for client in 0..clients {
        let name = if client == 0 { "suite".to_owned() } else { format!("client {client}") };
        write!(page, "<text class=who x=4 y={}>{name}</text>", client * ROW + TOP + 18)?;
    }
    for (place, call) in burst.calls.iter().enumerate() {
        write_call(page, place, call, violation, end)?;
    }
    write!(page, "</svg></div><h2>Calls</h2><table><tr><th>#<th>who<th>call<th>answer</tr>")?;
    for (place, call) in burst.calls.iter().enumerate() {
        let class = class(place, violation);
        let (what, answer) = words(call);
        let who = call.client;
        let (what, answer) = (escaped(&what), escaped(&answer));
        writeln!(page, "<tr id=c{place} class={class}><td>{place}<td>{who}<td>{what}<td>{answer}</tr>")?;
    }
    page.write_str("</table>")
}

fn write_call(page: &mut String, place: usize, call: &Recorded, violation: &Violation, end: u64) -> std::fmt::Result {
    let (left, right) = (call.invoked * STEP + 70, call.returned.unwrap_or(end) * STEP + 70);
    let (top, width) = (call.client * ROW + TOP, (right - left).max(6));
    let class = class(place, violation);
    let open = if call.returned.is_none() { " lost" } else { "" };
    let (what, answer) = words(call);
    write!(page, "<a href=\"#c{place}\"><g class=\"{class}{open}\">")?;
    write!(page, "<title>{place}: {} → {}</title>", escaped(&what), escaped(&answer))?;
    write!(page, "<rect x={left} y={top} width={width} height=26 rx=4 />")?;
    let number = violation.prefix.iter().position(|other| *other == place).filter(|_| width >= WIDE);
    let short = number.map_or_else(|| place.to_string(), |number| format!("{place} · {}", number + 1));
    write!(page, "<text x={} y={}>{short}</text></g></a>", left + 3, top + 17)
}

fn class(place: usize, violation: &Violation) -> &'static str {
    if violation.stuck.contains(&place) {
        "stuck"
    } else if violation.prefix.contains(&place) {
        "placed"
    } else {
        "open"
    }
}

/// A call and its answer in words.
fn words(call: &Recorded) -> (String, String) {
    match &call.deed {
        Deed::Clock(now) => (format!("the clock moves to {now}"), String::new()),
        Deed::Call { op, obs } => {
            let answer = match &**obs {
                Obs::Answered(Ok(answer)) => format!("{answer:?}"),
                Obs::Answered(Err(error)) => error.code(),
                Obs::Lost => "(lost)".to_owned(),
                Obs::NotDone => "(not sent)".to_owned(),
            };
            (told(op), answer)
        }
    }
}

fn told(op: &Op) -> String {
    format!("{op:?}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const HEAD: &str = include_str!("timeline/head.html");
