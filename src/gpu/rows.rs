//! Kernels over rows. A row is folded, perhaps several times, each fold seeing those before it; then something is done with each of its
//! elements. Short rows have an invocation each, others a workgroup, and long rows are cut into parts that have a workgroup each
//! and a launch for every fold: no invocation takes more than some thousand steps, so that rows of any length keep a whole GPU busy,
//! and end before a driver's patience does (a loop of lavapipe's ends after 65,535 rounds, counted over all loops of an invocation).

use crate::call::{Call, WORKGROUP};
use rustnn_tensor::{Array, DType, Result};
use std::fmt::Write;

/// Steps that one invocation takes in a loop, about, at most.
pub const ROUNDS: usize = 1 << 14;
/// Elements that a workgroup has at least where a row is cut into parts.
const PART: usize = 16 << 10;
/// Elements that a workgroup has at most where parts can be as many as its invocations.
const LONGEST: usize = 1 << 20;

/// Into how many parts rows are cut, at most as many as a workgroup has invocations. It depends on sizes alone: sums have one order.
pub fn parts(rows: usize, len: usize) -> usize {
    (len / PART).min(256 / rows.max(1)).max(len.div_ceil(LONGEST)).clamp(1, WORKGROUP as usize)
}

/// Whether a row is one invocation's work.
fn alone(rows: usize, len: usize) -> bool {
    len <= 64 || rows >= 1 << 16 && len <= 256
}

/// Sums and maxima over a workgroup, in one order.
const ALL: &str = "
var<workgroup> all_shared: array<f32, 256>;
fn all_sum(v: f32, lane: u32) -> f32 {
    workgroupBarrier();
    all_shared[lane] = v;
    workgroupBarrier();
    for (var s = 128u; s > 0u; s = s >> 1u) {
        if (lane < s) { all_shared[lane] = all_shared[lane] + all_shared[lane + s]; }
        workgroupBarrier();
    }
    return all_shared[0];
}
fn all_max(v: f32, lane: u32) -> f32 {
    workgroupBarrier();
    all_shared[lane] = v;
    workgroupBarrier();
    for (var s = 128u; s > 0u; s = s >> 1u) {
        if (lane < s) { all_shared[lane] = larger(all_shared[lane], all_shared[lane + s]); }
        workgroupBarrier();
    }
    return all_shared[0];
}
const STEP = 256u;
";

/// The same where one invocation has a row of its own.
const ALONE: &str = "
fn all_sum(v: f32, lane: u32) -> f32 { return v; }
fn all_max(v: f32, lane: u32) -> f32 { return v; }
const STEP = 1u;
";

/// The greater one; NaN, if there is one.
pub const LARGER: &str = "
fn larger(a: f32, b: f32) -> f32 {
    if ((bitcast<u32>(a) & 0x7fffffffu) > 0x7f800000u) { return a; }
    if ((bitcast<u32>(b) & 0x7fffffffu) > 0x7f800000u) { return b; }
    return max(a, b);
}
fn lowest() -> f32 { var bits = 0xff800000u; return bitcast<f32>(bits); }
";

#[derive(Clone, Copy, PartialEq)]
pub enum Join {
    Sum,
    Max,
}

impl Join {
    fn start(self) -> &'static str {
        if self == Join::Sum { "0.0" } else { "lowest()" }
    }

    fn joined(self, a: &str, b: &str) -> String {
        if self == Join::Sum { format!("{a} = {a} + {b};") } else { format!("{a} = larger({a}, {b});") }
    }

    fn all(self) -> &'static str {
        if self == Join::Sum { "all_sum" } else { "all_max" }
    }
}

/// One walk over a row.
#[derive(Clone, Copy)]
pub struct Pass {
    /// Statements for element `k`, before its terms.
    pub load: &'static str,
    /// Names of the folds, which what follows sees, and their terms for element `k`.
    pub folds: &'static [(&'static str, Join, &'static str)],
    /// Statements once they are known.
    pub then: &'static str,
}

/// Passes for a row's mean, `centre`, and the sum of squares around it, `squares`. The first sum gives what is subtracted; what it
/// misses of the mean is made good for in both.
macro_rules! spread {
    ($load:literal, $then:literal) => {
        [
            $crate::rows::Pass { load: "", folds: &[("total", $crate::rows::Join::Sum, $load)], then: "let guess = total / f32(p.len);" },
            $crate::rows::Pass {
                load: concat!("let off = ", $load, " - guess;"),
                folds: &[("offs", $crate::rows::Join::Sum, "off"), ("around", $crate::rows::Join::Sum, "off * off")],
                then: concat!(
                    "let shift = offs / f32(p.len);
let centre = guess + shift;
var squares = around - offs * shift;
if (squares < 0.0) { squares = 0.0; }
",
                    $then
                ),
            },
        ]
    };
}
pub(crate) use spread;

/// A kernel over `count` rows of `len` elements, in f32. Text sees `row`, and `k` where it speaks of an element.
pub struct Rows<'a> {
    pub name: &'a str,
    pub count: usize,
    pub len: usize,
    /// Binds what is read.
    pub inputs: &'a dyn Fn(&mut Call) -> Result<()>,
    /// Binds what is written, by `each` and `last` alone.
    pub outputs: &'a dyn Fn(&mut Call) -> Result<()>,
    pub items: &'a str,
    /// Statements before everything.
    pub before: &'a str,
    pub passes: &'a [Pass],
    /// Statements for each element.
    pub each: &'a str,
    /// Statements for each row, by one invocation.
    pub last: &'a str,
}

impl Rows<'_> {
    pub fn run(&self) -> Result<bool> {
        if self.count == 0 {
            return Ok(true);
        }
        let parts = parts(self.count, self.len);
        if parts > 1 && !alone(self.count, self.len) { self.in_parts(parts) } else { self.whole() }
    }

    fn call(&self) -> Result<Call> {
        let mut call = Call::new(self.name);
        (self.inputs)(&mut call)?;
        call.number("rows", self.count).number("len", self.len);
        Ok(call)
    }

    fn whole(&self) -> Result<bool> {
        let mut call = self.call()?;
        (self.outputs)(&mut call)?;
        let alone = alone(self.count, self.len);
        call.variant(if alone { "alone" } else { "whole" }, "");
        let (row, first, groups) = match alone {
            true => ("i", "0u", self.count.div_ceil(WORKGROUP as usize)),
            false => ("group", "lane", self.count),
        };
        let text = || {
            let mut body = format!("let row = {row};\nif (row >= p.rows) {{ return; }}\nlet first = {first};\n{}", self.before);
            for pass in self.passes {
                body += &format!("{}{}\n", fold(pass, "first", "p.len"), pass.then);
            }
            body += &self.end("first", "p.len", "first == 0u");
            (format!("{LARGER}{}{}", if alone { ALONE } else { ALL }, self.items), body)
        };
        call.launch(groups as u64, WORKGROUP, &text)
    }

    fn end(&self, first: &str, end: &str, once: &str) -> String {
        let mut text = String::new();
        if !self.each.is_empty() {
            let _ = writeln!(text, "for (var k = {first}; k < {end}; k += STEP) {{\n{}\n}}", self.each);
        }
        if !self.last.is_empty() {
            let _ = writeln!(text, "if ({once}) {{\n{}\n}}", self.last);
        }
        text
    }

    /// A launch for each pass, whose folds of the parts the following ones join, and one for the rest.
    fn in_parts(&self, parts: usize) -> Result<bool> {
        let part = self.len.div_ceil(parts);
        let parts = self.len.div_ceil(part);
        // What the parts come to, of all folds: each pass reads those before its own.
        let mut held = None;
        for number in 0..=self.passes.len() {
            let mut call = self.call()?;
            call.number("parts", parts).number("part", part).variant(["part0", "part1", "part2", "part3"][number], "");
            let pass = self.passes.get(number);
            if held.is_none()
                && let Some(device) = call.device()
            {
                let folds: usize = self.passes.iter().map(|pass| pass.folds.len()).sum();
                held = Some(Array::empty(&[folds.max(1), self.count, parts], DType::F32, device)?);
            }
            let Some(held) = &held else { return Ok(false) };
            if pass.is_some() {
                call.update("held", held)?;
            } else {
                call.read("held", held)?;
                (self.outputs)(&mut call)?;
            }
            let text = || (format!("{LARGER}{ALL}{}", self.items), self.part_text(number));
            let pieces = if pass.is_none() && self.each.is_empty() { 1 } else { parts };
            call.number("pieces", pieces);
            call.launch((self.count * pieces) as u64, WORKGROUP, &text)?;
        }
        Ok(true)
    }

    fn part_text(&self, number: usize) -> String {
        let mut body = format!(
            "let row = group / p.pieces;
if (row >= p.rows) {{ return; }}
let own = group % p.pieces;
let first = own * p.part + lane;
let end = min(p.len, (own + 1u) * p.part);
{}",
            self.before
        );
        let mut fold_number = 0;
        for pass in &self.passes[..number] {
            for (name, join, _) in pass.folds {
                let _ = writeln!(
                    body,
                    "var {name} = {};\nif (lane < p.parts) {{ {name} = held(({fold_number}u * p.rows + row) * p.parts + lane); }}\n{name} = {}({name}, lane);",
                    join.start(),
                    join.all()
                );
                fold_number += 1;
            }
            body += pass.then;
            body.push('\n');
        }
        let Some(pass) = self.passes.get(number) else {
            return body + &self.end("first", "end", "own == 0u && lane == 0u");
        };
        body += &fold(pass, "first", "end");
        body += "if (lane == 0u) {\n";
        for (f, (name, ..)) in pass.folds.iter().enumerate() {
            let _ = writeln!(body, "held_set(({}u * p.rows + row) * p.parts + own, {name});", fold_number + f);
        }
        body + "}\n"
    }
}

/// A pass over the elements from `first` to `end`. Sums are sums of sums of 64: one long one would lose digits.
fn fold(pass: &Pass, first: &str, end: &str) -> String {
    let (mut text, mut own, mut step, mut join, mut all) = <(String, String, String, String, String)>::default();
    for (name, kind, term) in pass.folds {
        let _ = writeln!(text, "var {name} = {};", kind.start());
        let _ = writeln!(own, "var own_{name} = {};", kind.start());
        let _ = writeln!(step, "{}", kind.joined(&format!("own_{name}"), &format!("({term})")));
        let _ = writeln!(join, "{}", kind.joined(name, &format!("own_{name}")));
        let _ = writeln!(all, "{name} = {}({name}, lane);", kind.all());
    }
    text + &format!(
        "for (var at = {first}; at < {end}; at += 64u * STEP) {{
{own}let stop = min({end}, at + 64u * STEP);
for (var k = at; k < stop; k += STEP) {{
{}
{step}}}
{join}}}
{all}",
        pass.load
    )
}

/// What is folded where it is more than a number: its type in a kernel's text.
#[derive(Clone, Copy)]
pub enum State {
    /// A value.
    Value(&'static str),
    /// A value `v` and a place `at`; a place of 0xffffffff stands for nothing.
    Placed(&'static str),
}

impl State {
    /// u32 words in memory.
    pub fn words(self) -> usize {
        match self {
            State::Value("f32") => 1,
            State::Value(_) | State::Placed("f32") => 2,
            State::Placed(_) => 3,
        }
    }

    /// The type, in a kernel's text.
    pub fn text(self) -> String {
        match self {
            State::Value(value) => format!("alias State = {value};\n"),
            State::Placed(value) => format!("struct State {{ v: {value}, at: u32 }}\n"),
        }
    }

    /// `kept(at)`, which reads one of the array `held`, u32, and with `writes` `keep(at, s)`.
    pub fn held_text(self, writes: bool) -> String {
        let words = self.words();
        let word = |w: usize| format!("held({words}u * at + {w}u)");
        let put = |w: usize, v: &str| format!("held_set({words}u * at + {w}u, {v});");
        let (get, set) = match self {
            State::Value("f32") => (format!("bitcast<f32>({})", word(0)), put(0, "bitcast<u32>(s)")),
            State::Value(_) => (format!("vec2<u32>({}, {})", word(0), word(1)), put(0, "s.x") + &put(1, "s.y")),
            State::Placed("f32") => {
                (format!("State(bitcast<f32>({}), {})", word(0), word(1)), put(0, "bitcast<u32>(s.v)") + &put(1, "s.at"))
            }
            State::Placed(_) => {
                (format!("State(vec2<u32>({}, {}), {})", word(0), word(1), word(2)), put(0, "s.v.x") + &put(1, "s.v.y") + &put(2, "s.at"))
            }
        };
        let keep = if writes { format!("fn keep(at: u32, s: State) {{ {set} }}\n") } else { String::new() };
        format!("fn kept(at: u32) -> State {{ return {get}; }}\n{keep}")
    }
}

/// A fold of rows in a state, by a `joined(a, b)` that does not mind the order of its operands.
pub struct Folds<'a> {
    pub name: &'a str,
    pub count: usize,
    pub len: usize,
    pub state: State,
    /// Binds what is read.
    pub inputs: &'a dyn Fn(&mut Call) -> Result<()>,
    /// Binds what is written.
    pub outputs: &'a dyn Fn(&mut Call) -> Result<()>,
    /// `nothing()` and `joined(a, b)`.
    pub join: &'a str,
    /// `load(row, k)`, and what it needs.
    pub load: &'a str,
    /// Statements for the fold `s` of `row`.
    pub done: &'a str,
}

impl Folds<'_> {
    pub fn run(&self) -> Result<bool> {
        if self.count == 0 {
            return Ok(true);
        }
        let mut call = Call::new(self.name);
        (self.inputs)(&mut call)?;
        if alone(self.count, self.len) {
            (self.outputs)(&mut call)?;
            call.variant("alone", "").number("len", self.len);
            let items = format!("{}{}{}", self.state.text(), self.join, self.load);
            let body = format!(
                "let row = i;
var s = nothing();
for (var k = 0u; k < p.len; k++) {{ s = joined(s, load(row, k)); }}
{}",
                self.done
            );
            return call.each(self.count, &items, &body);
        }
        let part = self.len.div_ceil(parts(self.count, self.len));
        let parts = self.len.div_ceil(part);
        let (Some(device), true) = (call.device(), parts > 1) else {
            return self.workgroups(call, self.len, 1, "load(row, k)", true);
        };
        let held = Array::empty(&[self.count * parts * self.state.words()], DType::U32, device)?;
        call.write("held", &held)?;
        self.workgroups(call, part, parts, "load(row, k)", false)?;
        let mut call = Call::new(self.name);
        call.read("held", &held)?;
        // The text may name them.
        (self.inputs)(&mut call)?;
        self.workgroups(call, parts, 1, "kept(row * p.len + k)", true)
    }

    /// A workgroup for each part of each row; `ends`: parts are whole rows, and their folds are done with.
    fn workgroups(&self, mut call: Call, part: usize, parts: usize, load: &str, ends: bool) -> Result<bool> {
        let again = load.starts_with("kept");
        call.variant(
            if again {
                "join"
            } else if ends {
                "whole"
            } else {
                "part"
            },
            "",
        );
        if ends {
            (self.outputs)(&mut call)?;
        }
        call.number("rows", self.count).number("parts", parts).number("part", part);
        call.number("len", if ends { part } else { self.len });
        let text = || {
            let held = if again || !ends { self.state.held_text(!ends) } else { String::new() };
            let items = format!("{}{held}{}{}var<workgroup> states: array<State, {WORKGROUP}>;\n", self.state.text(), self.join, self.load);
            let done = if ends { self.done } else { "keep(group, s);" };
            let body = format!(
                "let row = group / p.parts;
if (row >= p.rows) {{ return; }}
let own = group % p.parts;
let end = min(p.len, (own + 1u) * p.part);
var mine = nothing();
for (var k = own * p.part + lane; k < end; k += {WORKGROUP}u) {{ mine = joined(mine, {load}); }}
states[lane] = mine;
workgroupBarrier();
for (var step = {WORKGROUP}u / 2u; step > 0u; step = step >> 1u) {{
    if (lane < step) {{ states[lane] = joined(states[lane], states[lane + step]); }}
    workgroupBarrier();
}}
if (lane == 0u) {{
let s = states[0];
{done}
}}"
            );
            (items, body)
        };
        call.launch((self.count * parts) as u64, WORKGROUP, &text)
    }
}
