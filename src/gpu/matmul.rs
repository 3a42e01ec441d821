//! Products: one tiled kernel and one for vectors, whose loads and stores are given as text, so that matrices of any strides and
//! the three directions of a convolution share them.

use crate::call::{Call, WORKGROUP, are_floats, is_float};
use crate::rows::ROUNDS;
use crate::shader::value_type;
use rustnn_kernels::conv::ConvShape;
use rustnn_kernels::elementwise::Kernel;
use rustnn_kernels::layers::Activation;
use rustnn_kernels::text::{Kind, Lines};
use rustnn_tensor::{Array, DType, Result};

/// Rows, columns and depth of a workgroup's tile, and what one invocation has of it; all multiples of 4, powers of two.
#[derive(Clone, Copy)]
struct Tile {
    rows: usize,
    columns: usize,
    depth: usize,
    own_rows: usize,
    own_columns: usize,
}

impl Tile {
    const fn new(rows: usize, columns: usize, own_rows: usize, own_columns: usize) -> Tile {
        Tile { rows, columns, depth: 16, own_rows, own_columns }
    }

    fn lanes(self) -> usize {
        (self.rows / self.own_rows) * (self.columns / self.own_columns)
    }

    fn count(self, rows: usize, columns: usize) -> usize {
        rows.div_ceil(self.rows) * columns.div_ceil(self.columns)
    }
}

/// Workgroups that keep a large GPU busy.
const MANY: usize = 96;

/// The tile for a product: large ones reuse more, small ones leave fewer invocations idle; `huge` ones where workgroup memory has
/// nothing else to hold.
fn tile(rows: usize, columns: usize, batch: usize, huge: bool) -> Tile {
    const HUGE: Tile = Tile::new(128, 128, 8, 8);
    const LARGE: Tile = Tile::new(64, 64, 8, 4);
    const SMALL: Tile = Tile::new(32, 32, 4, 4);
    const FLAT: Tile = Tile::new(16, 64, 4, 4);
    const TALL: Tile = Tile::new(64, 16, 4, 4);
    let fills = |t: Tile, least: usize| rows > t.rows / 2 && columns > t.columns / 2 && batch * t.count(rows, columns) >= least;
    match () {
        _ if huge && fills(HUGE, MANY) => HUGE,
        _ if fills(LARGE, MANY / 2) => LARGE,
        _ if rows <= 16 => FLAT,
        _ if columns <= 16 => TALL,
        _ => SMALL,
    }
}

/// Into how many parts the depth is cut, so that a small result over a long depth still has work for many workgroups, and none has
/// more than `most`; and their length. It depends on sizes alone: sums have one order.
fn split(workgroups: usize, depth: usize, step: usize, most: usize) -> (usize, usize) {
    const LEAST: usize = 256;
    let parts = (MANY / workgroups.max(1)).min(depth / LEAST).max(depth.div_ceil(most)).max(1);
    let len = depth.div_ceil(parts).next_multiple_of(step).max(step);
    (depth.div_ceil(len).max(1), len)
}

/// How four neighbours of an operand lie: along the depth, or along the rows or columns; and whether they can be loaded at once.
#[derive(Clone, Copy)]
struct Fetch {
    along_depth: bool,
    quads: bool,
}

impl Fetch {
    const DEPTH: Fetch = Fetch { along_depth: true, quads: false };
    const SIDE: Fetch = Fetch { along_depth: false, quads: false };
}

/// A product of `batch` matrices, `rows x columns`, over `depth`.
struct Product<'a> {
    name: &'a str,
    batch: usize,
    rows: usize,
    columns: usize,
    depth: usize,
    a: Fetch,
    b: Fetch,
    /// Whether finding an element takes so much that it is done once for each row and column, and stands once in the text.
    heavy: bool,
    /// Parameters that both of the following name.
    numbers: &'a dyn Fn(&mut Call),
    /// Binds what is read.
    inputs: &'a dyn Fn(&mut Call) -> Result<()>,
    /// The text, for a and b, of a type `Place_a`, the functions `base_a(batch)`, `side_a(base, m)` and
    /// `deep_a(base, k)`, which give one, and `load_a(side, deep)`; with `quads` of `load_a4` instead, which loads four along their
    /// direction. Only loads inside of the sizes are done.
    input_text: &'a dyn Fn() -> String,
    /// Binds what is written.
    outputs: &'a dyn Fn(&mut Call) -> Result<()>,
    /// The text of `store(batch, m, n, v)`.
    output_text: &'a dyn Fn() -> String,
}

/// How a tiled kernel fills its tiles: functions, statements before its loop, at the loop's begin, and while the tiles are used.
struct Loads {
    items: String,
    before: String,
    bring: String,
    ahead: String,
}

/// By what the fours of depth `k` are permuted, beside twice `k / 4`: with it eight neighbours in any direction differ by 8.
fn permutation(k: usize) -> usize {
    (k % 4) >> 1 | (k % 2) << 2
}

const TURNED: &str = "
fn turned(k: u32, sides: u32) -> u32 { return ((2u * (k / 4u)) ^ ((k & 3u) >> 1u) ^ ((k & 1u) << 2u)) % sides; }
";

impl Product<'_> {
    fn run(&self) -> Result<bool> {
        if self.columns == 1 { self.vector() } else { self.tiled() }
    }

    fn call(&self, kernel: &str) -> Call {
        let mut call = Call::new(self.name);
        call.variant(kernel, "").unchecked();
        call.number("M", self.rows).number("N", self.columns).number("K", self.depth).number("batch", self.batch);
        (self.numbers)(&mut call);
        call
    }

    /// Runs a kernel whose workgroups each compute a piece of the result over a part of the depth; `kernel` gives its text.
    fn over_parts(
        &self,
        mut call: Call,
        (parts, len): (usize, usize),
        pieces: usize,
        lanes: usize,
        kernel: &dyn Fn() -> (String, String),
    ) -> Result<bool> {
        (self.inputs)(&mut call)?;
        let results = self.batch * self.rows * self.columns;
        call.number("pieces", pieces).number("part", len);
        let partial = match call.device() {
            Some(device) if parts > 1 => Some(Array::empty(&[parts, results], DType::F32, device)?),
            _ => None,
        };
        match &partial {
            Some(partial) => {
                call.variant("parts", "");
                call.write("partial", partial)?;
            }
            None => (self.outputs)(&mut call)?,
        }
        // The parts of one piece are the outermost count, their results that of the batches.
        let begin = "let piece = group % p.pieces;
let batch = (group / p.pieces) % p.batch;
let number = group / (p.pieces * p.batch);
let first = number * p.part;
if (first >= max(p.K, 1u)) { return; }
let end = min(p.K, first + p.part);
let slot = number * p.batch + batch;
";
        let text = || {
            let (items, body) = kernel();
            let store = match parts {
                1 => (self.output_text)(),
                _ => "fn store(batch: u32, m: u32, n: u32, v: f32) { partial_set((batch * p.M + m) * p.N + n, v); }\n".into(),
            };
            (format!("{}{store}{items}", (self.input_text)()), format!("{begin}{body}"))
        };
        call.launch((parts * self.batch * pieces) as u64, lanes as u32, &text)?;
        let Some(partial) = partial else { return Ok(true) };
        let mut call = self.call("join");
        call.read("partial", &partial)?;
        call.number("parts", parts);
        call.number("n", results);
        (self.outputs)(&mut call)?;
        let body = "if (i >= p.n) { return; }
var sum = 0.0;
for (var part = 0u; part < p.parts; part++) { sum += partial(part * p.n + i); }
store(i / (p.M * p.N), (i / p.N) % p.M, i % p.N, sum);";
        call.launch((results as u64).div_ceil(WORKGROUP as u64), WORKGROUP, &|| ((self.output_text)(), body.into()))
    }

    /// Tiles in workgroup memory, each depth's elements side by side in fours, which are permuted by the depth so that neighbouring
    /// invocations write to different banks, along the depth as well as along the side.
    fn tiled(&self) -> Result<bool> {
        let t = tile(self.rows, self.columns, self.batch, !self.heavy);
        let lanes = t.lanes();
        let (across, down) = (self.columns.div_ceil(t.columns), self.rows.div_ceil(t.rows));
        // A tile's step is up to 9 rounds of loops, 40 where it is brought element by element.
        let most = t.depth * if self.a.quads && self.b.quads { ROUNDS / 4 } else { ROUNDS / 14 };
        let parts = split(self.batch * across * down, self.depth, t.depth, most);
        // Only where it pays: every variant has to be compiled.
        let edge = t.own_rows < 8
            || !(self.rows.is_multiple_of(t.rows)
                && self.columns.is_multiple_of(t.columns)
                && self.depth.is_multiple_of(t.depth)
                && self.depth > 0);
        let mut call = self.call(&format!("{}x{}", t.rows, t.columns));
        // Not a constant: compilers would unroll what is long enough already.
        call.flag("EDGE", edge).number("across", across).number("deep", t.depth / 4).number("four", 4);
        self.over_parts(call, parts, across * down, lanes, &|| self.tiled_text(t))
    }

    /// Functions and body of the tiled kernel.
    fn tiled_text(&self, t: Tile) -> (String, String) {
        let (tall, wide) = (t.rows / 4, t.columns / 4);
        let mut items = format!(
            "var<workgroup> tile_a: array<vec4<f32>, {}>;\nvar<workgroup> tile_b: array<vec4<f32>, {}>;\n",
            t.depth * tall,
            t.depth * wide
        );
        let loads = if self.a.quads && self.b.quads { self.blocks(t) } else { self.fours(t) };
        items += &loads.items;
        let (lanes_across, lanes_down) = (t.columns / t.own_columns, t.rows / t.own_rows);
        let (quads_down, quads_across) = (t.own_rows / 4, t.own_columns / 4);
        let mut body = format!(
            "let m0 = (piece / p.across) * {}u;
let n0 = (piece % p.across) * {}u;
let y = lane / {lanes_across}u;
let x_ = lane % {lanes_across}u;
let of_a = base_a(batch);
let of_b = base_b(batch);
{}",
            t.rows, t.columns, loads.before
        );
        for r in 0..t.own_rows {
            for c in 0..quads_across {
                body += &format!("var s{r}_{c} = vec4<f32>();\n");
            }
        }
        body += &format!(
            "for (var k0 = first; k0 < end; k0 += {}u) {{\n{}    workgroupBarrier();\n{}    for (var q = 0u; q < p.deep; q++) {{\n",
            t.depth, loads.bring, loads.ahead
        );
        for j in 0..4 {
            let turn = permutation(j);
            for (name, of, sides, count, step) in [("a", "y", tall, quads_down, lanes_down), ("b", "x_", wide, quads_across, lanes_across)]
            {
                body += &format!("        let z{name}{j} = ((2u * q) ^ {turn}u) % {sides}u;\n");
                for h in 0..count {
                    body += &format!(
                        "        let {name}{j}_{h} = tile_{name}[(4u * q + {j}u) * {sides}u + (({of} + {}u) ^ z{name}{j})];\n",
                        h * step
                    );
                }
            }
            for r in 0..t.own_rows {
                for c in 0..quads_across {
                    body += &format!("        s{r}_{c} = fma(vec4<f32>(a{j}_{}[{}]), b{j}_{c}, s{r}_{c});\n", r / 4, r % 4);
                }
            }
        }
        body += "    }\n    workgroupBarrier();\n}\n";
        items += "fn store4(slot: u32, m: u32, n: u32, v: vec4<f32>) {
    if (EDGE && m >= p.M) { return; }
    for (var e = 0u; e < p.four; e++) {
        if (!EDGE || n + e < p.N) { store(slot, m, n + e, v[e]); }
    }
}
";
        for r in 0..t.own_rows {
            let m = format!("m0 + 4u * (y + {}u) + {}u", r / 4 * lanes_down, r % 4);
            for c in 0..quads_across {
                body += &format!("store4(slot, {m}, n0 + 4u * (x_ + {}u), s{r}_{c});\n", c * lanes_across);
            }
        }
        (items, body)
    }

    /// Brings the tiles in fours of neighbours along the side, element by element. Neighbouring invocations go along memory.
    fn fours(&self, t: Tile) -> Loads {
        let (lanes, mut items, mut bring) = (t.lanes(), String::new(), String::new());
        let count = if self.heavy { "p.four" } else { "4u" };
        let mut before = String::new();
        for (name, fetch, limit, origin, sides) in [("a", self.a, "p.M", "m0", t.rows / 4), ("b", self.b, "p.N", "n0", t.columns / 4)] {
            let place = if self.heavy {
                items += &format!("var<workgroup> sides_{name}: array<Place_{name}, {}>;\n", 4 * sides);
                before += &format!(
                    "for (var e = lane; e < {}u; e += {lanes}u) {{ sides_{name}[e] = side_{name}(of_{name}, {origin} + e); }}\n",
                    4 * sides
                );
                format!("sides_{name}[4u * four + e]")
            } else {
                format!("side_{name}(of_{name}, side + e)")
            };
            let units = t.depth * sides;
            let (k, side) = if fetch.along_depth {
                (format!("u % {}u", t.depth), format!("u / {}u", t.depth))
            } else {
                (format!("u / {sides}u"), format!("u % {sides}u"))
            };
            bring += &format!(
                "    for (var u = lane; u < {units}u; u += {lanes}u) {{
        let k = {k};
        let four = {side};
        let side = {origin} + 4u * four;
        let deep = deep_{name}(of_{name}, k0 + k);
        var v = vec4<f32>();
        for (var e = 0u; e < {count}; e++) {{
            if (!EDGE || (side + e < {limit} && k0 + k < end)) {{ v[e] = load_{name}({place}, deep); }}
        }}
        tile_{name}[k * {sides}u + (four ^ turned(k, {sides}u))] = v;
    }}
"
            );
        }
        if self.heavy {
            before += "workgroupBarrier();\n";
        }
        Loads { items: format!("{TURNED}{items}"), before, bring, ahead: String::new() }
    }

    /// Brings the tiles in blocks of 4 x 4, loaded in fours along memory and turned around where that is the depth. In large tiles the
    /// next block is under way while the present ones are used.
    fn blocks(&self, t: Tile) -> Loads {
        let (lanes, deep, tall, wide) = (t.lanes(), t.depth / 4, t.rows / 4, t.columns / 4);
        let (blocks_a, blocks_b) = (deep * tall, deep * wide);
        let rounds = (blocks_a + blocks_b).div_ceil(lanes);
        let mut items = String::from(TURNED);
        // `fetch_a(base, side, k, end)`: columns of the result are depths, their elements lie along the side.
        for (name, fetch, limit) in [("a", self.a, "p.M"), ("b", self.b, "p.N")] {
            let next = |j: usize| if fetch.along_depth { format!("side + {j}u, k") } else { format!("side, k + {j}u") };
            let each: Vec<String> = (0..4).map(|j| format!("four_{name}(base, {}, end)", next(j))).collect();
            let block = format!("mat4x4<f32>({})", each.join(", "));
            items += &format!(
                "fn four_{name}(base: u32, side: u32, k: u32, end: u32) -> vec4<f32> {{
    if (EDGE && (side >= {limit} || k >= end)) {{ return vec4<f32>(); }}
    return load_{name}4(side_{name}(base, side), deep_{name}(base, k));
}}
fn fetch_{name}(base: u32, side: u32, k: u32, end: u32) -> mat4x4<f32> {{ return {}; }}
",
                if fetch.along_depth { format!("transpose({block})") } else { block }
            );
        }
        // Which block an invocation has: neighbours go along memory.
        let place = |fetch: Fetch, block: &str, sides: usize| {
            if fetch.along_depth {
                (format!("{block} / {deep}u"), format!("{block} % {deep}u"))
            } else {
                (format!("{block} % {sides}u"), format!("{block} / {sides}u"))
            }
        };
        let (side_a, k_a) = place(self.a, "block", tall);
        let (side_b, k_b) = place(self.b, "(block - BLOCKS_A)", wide);
        let keep = |name: &str, sides: usize, side: &str, k: &str| {
            let mut text = format!("let k = 4u * ({k});\n        let side = {side};\n");
            for j in 0..4 {
                text += &format!("        tile_{name}[(k + {j}u) * {sides}u + (side ^ turned(k + {j}u, {sides}u))] = v[{j}];\n");
            }
            text
        };
        items += &format!(
            "const BLOCKS_A = {blocks_a}u;
fn fetch(block: u32, base_a: u32, base_b: u32, m0: u32, n0: u32, k0: u32, end: u32) -> mat4x4<f32> {{
    if (block < BLOCKS_A) {{ return fetch_a(base_a, m0 + 4u * ({side_a}), k0 + 4u * ({k_a}), end); }}
    return fetch_b(base_b, n0 + 4u * ({side_b}), k0 + 4u * ({k_b}), end);
}}
fn keep(block: u32, v: mat4x4<f32>) {{
    if (block < BLOCKS_A) {{
        {}    }} else {{
        {}    }}
}}
",
            keep("a", tall, &side_a, &k_a),
            keep("b", wide, &side_b, &k_b)
        );
        if t.own_rows < 8 {
            let bring = format!(
                "    for (var block = lane; block < {}u; block += {lanes}u) {{ keep(block, fetch(block, of_a, of_b, m0, n0, k0, end)); }}\n",
                blocks_a + blocks_b
            );
            return Loads { items, before: String::new(), bring, ahead: String::new() };
        }
        let (mut before, mut bring, mut ahead) = (String::new(), String::new(), format!("    if (k0 + {}u < end) {{\n", t.depth));
        for r in 0..rounds {
            let block = format!("lane + {}u", r * lanes);
            before += &format!("var held{r} = fetch({block}, of_a, of_b, m0, n0, first, end);\n");
            bring += &format!("    keep({block}, held{r});\n");
            ahead += &format!("        held{r} = fetch({block}, of_a, of_b, m0, n0, k0 + {}u, end);\n", t.depth);
        }
        debug_assert_eq!(rounds * lanes, blocks_a + blocks_b, "every invocation has a block");
        Loads { items, before, bring, ahead: ahead + "    }\n" }
    }

    /// Products with one column: a matrix whose depth is contiguous has 64 invocations for each row, any other 8 for each of 32
    /// neighbouring rows.
    fn vector(&self) -> Result<bool> {
        const LANES: usize = 256;
        let (each, own) = if self.a.along_depth { (64, LANES / 64) } else { (8, LANES / 8) };
        let quads = self.a.along_depth && self.a.quads && self.b.quads;
        let pieces = self.rows.div_ceil(own);
        let parts = split(self.batch * pieces, self.depth, 1024, each * ROUNDS);
        let mut call = self.call("vector");
        call.flag("ALONG", self.a.along_depth);
        let sum_text = || {
            if quads {
                format!(
                    "for (var k = first + 4u * part; k < end; k += {}u) {{ sum += dot(load_a4(row, deep_a(of_a, k)), load_b4(column, deep_b(of_b, k))); }}",
                    4 * each
                )
            } else {
                format!(
                    "for (var k = first + part; k < end; k += {each}u) {{ sum = fma(load_a(row, deep_a(of_a, k)), load_b(column, deep_b(of_b, k)), sum); }}"
                )
            }
        };
        let text = || {
            let sum = sum_text();
            // Invocations of one row are neighbours where its elements are; otherwise those of neighbouring rows are.
            let (row, part, step) = if self.a.along_depth {
                (format!("lane / {each}u"), format!("lane % {each}u"), 1)
            } else {
                (format!("lane % {own}u"), format!("lane / {own}u"), own)
            };
            let body = format!(
                "let m = piece * {own}u + {row};
let part = {part};
let of_a = base_a(batch);
let of_b = base_b(batch);
let row = side_a(of_a, m);
let column = side_b(of_b, 0u);
var sum = 0.0;
if (m < p.M) {{
    {sum}
}}
sums[lane] = sum;
workgroupBarrier();
for (var s = {half}u; s > 0u; s = s >> 1u) {{
    if (part < s) {{ sums[lane] += sums[lane + s * {step}u]; }}
    workgroupBarrier();
}}
if (part == 0u && m < p.M) {{ store(slot, m, 0u, sums[lane]); }}",
                half = each / 2
            );
            ("var<workgroup> sums: array<f32, 256>;\n".into(), body)
        };
        self.over_parts(call, parts, pieces, LANES, &text)
    }
}

/// `array` seen with its last two dimensions swapped; `flat` tells that one of them is 1, so that what is row-major stays so.
fn turned(array: &Array, flat: bool) -> Array {
    let n = array.rank();
    let (mut shape, mut strides) = (rustnn_tensor::Shape::from(array.shape()), rustnn_tensor::Strides::from(array.strides()));
    shape.swap(n - 2, n - 1);
    strides.swap(n - 2, n - 1);
    if flat && array.is_contiguous() {
        strides = rustnn_tensor::shape::contiguous_strides(&shape);
    }
    array.with_geometry(shape, strides, array.offset())
}

/// How an operand's fours lie: `depth` is the dimension of its depth, one of the last two.
fn fetch_of(x: &Array, depth: usize) -> Fetch {
    let n = x.rank();
    let side = 2 * n - 3 - depth;
    let strides = x.strides();
    let along_depth = strides[depth] == 1 || strides[side] != 1 && strides[depth] <= strides[side];
    let (along, other) = if along_depth { (depth, side) } else { (side, depth) };
    let quads = is_float(x)
        && strides[along] == 1
        && x.shape()[along].is_multiple_of(4)
        && x.offset().is_multiple_of(4)
        && (0..n).all(|d| d == along || x.shape()[d] == 1 || strides[d] % 4 == 0)
        && other < n;
    Fetch { along_depth, quads }
}

/// What a matrix's parameters are called: the strides of three batch dimensions, of rows and of columns, behind its own name.
const LEFT: [&str; 6] = ["left", "left0", "left1", "left2", "leftr", "leftc"];
const RIGHT: [&str; 6] = ["right", "right0", "right1", "right2", "rightr", "rightc"];
const PLUS: [&str; 6] = ["plus", "plus0", "plus1", "plus2", "plusr", "plusc"];

/// Binds a matrix, or a stack of them, to be read as it lies, by its strides.
fn bind(call: &mut Call, names: &[&'static str; 6], x: &Array, quads: bool) -> Result<()> {
    if quads {
        call.read_quads(names[0], x)?
    } else {
        call.read_strided(names[0], x)?
    };
    let batch = x.rank() - 2;
    for d in 0..3 {
        call.number(names[1 + d], x.strides()[..batch].get(d).map_or(0, |s| *s as usize));
    }
    call.number(names[4], x.strides()[batch] as usize).number(names[5], x.strides()[batch + 1] as usize);
    Ok(())
}

/// The text that finds and loads an element of a bound matrix.
fn operand_text(name: &str, ab: &str, deep_first: bool, quads: bool, value: &str) -> String {
    let (four, value) = if quads { ("4", "vec4<f32>") } else { ("", value) };
    let (side, deep) = if deep_first { ("c", "r") } else { ("r", "c") };
    format!(
        "alias Place_{ab} = u32;
fn base_{ab}(b: u32) -> u32 {{\n{COORDINATES}    return c0 * p.{name}0 + c1 * p.{name}1 + c2 * p.{name}2;\n}}
fn side_{ab}(base: u32, i: u32) -> u32 {{ return base + i * p.{name}{side}; }}
fn deep_{ab}(base: u32, k: u32) -> u32 {{ return k * p.{name}{deep}; }}
fn load_{ab}{four}(side: u32, deep: u32) -> {value} {{ return {name}{four}(side + deep); }}
"
    )
}

/// Sizes of the second and third batch dimension.
fn batch_sizes(call: &mut Call, c: &Array) {
    let sizes = &c.shape()[..c.rank() - 2];
    call.number("n1", sizes.get(1).copied().unwrap_or(1)).number("n2", sizes.get(2).copied().unwrap_or(1));
}

/// What is done to a product before it is stored.
#[derive(Clone, Copy, Default)]
struct Finish<'a> {
    plus: Option<&'a Array>,
    /// A formula of one input.
    activation: Option<&'a Kernel>,
    /// Where the formula's input goes as well.
    before: Option<&'a Array>,
}

impl Finish<'_> {
    fn outputs(&self, call: &mut Call, c: &Array) -> Result<()> {
        call.flag("PLUS", self.plus.is_some()).flag("BEFORE", self.before.is_some());
        if let Some(activation) = self.activation {
            call.key_number(activation.text() as usize);
        }
        if let Some(plus) = self.plus {
            bind(call, &PLUS, plus, false)?;
        }
        if let Some(before) = self.before {
            call.write("before", before)?;
        }
        call.write("out", c)
    }

    /// The text of `store(batch, m, n, v)`.
    fn text(&self, value: &str, sum: &str) -> String {
        let mut text = match self.plus {
            Some(_) => {
                operand_text("plus", "plus", false, false, value)
                    + &format!(
                        "fn added(b: u32, m: u32, n: u32) -> {value} {{ return load_plus(side_plus(base_plus(b), m), deep_plus(0u, n)); }}\n"
                    )
            }
            None => format!("fn added(b: u32, m: u32, n: u32) -> {value} {{ return {value}(); }}\n"),
        };
        let lines = Lines::new();
        let v = lines.input(Kind::F32, "v");
        let finished = self.activation.map_or_else(|| "v".to_owned(), |activation| activation.text()(&[v], &[]));
        text += &format!("fn finished(v: {value}) -> {value} {{\n{}\nreturn {finished};\n}}\n", lines.into_statements().join("\n"));
        let keep = if self.before.is_some() { "before_set(at, sum);" } else { "" };
        text + &format!(
            "fn store(b: u32, m: u32, n: u32, v: {value}) {{
    let at = (b * p.M + m) * p.N + n;
    var sum = v;
    if (PLUS) {{ sum = {sum}; }}
    {keep}
    out_set(at, finished(sum));
}}
"
        )
    }
}

/// `c = a · b`, or `a · b + plus`; the same leading (batch) sizes in all, strides any.
pub fn matmul(a: &Array, b: &Array, plus: Option<&Array>, c: &Array) -> Result<bool> {
    if !are_floats(&[Some(a), Some(b), plus, Some(c)]) {
        return whole_product(a, b, plus, c);
    }
    product(a, b, Finish { plus, ..Finish::default() }, c)
}

/// `c = activation(a · b + plus)`, the formula's input to `before` if asked for.
pub fn matmul_activated(
    a: &Array,
    b: &Array,
    plus: Option<&Array>,
    activation: Activation,
    before: Option<&Array>,
    c: &Array,
) -> Result<bool> {
    if !are_floats(&[Some(a), Some(b), plus, before, Some(c)]) {
        return Ok(false);
    }
    product(a, b, Finish { plus, activation: Some(activation.kernel), before }, c)
}

fn product(a: &Array, b: &Array, finish: Finish, c: &Array) -> Result<bool> {
    let rank = c.rank();
    if !(2..=5).contains(&rank) {
        return Ok(false);
    }
    let (rows, columns, depth) = (c.shape()[rank - 2], c.shape()[rank - 1], a.shape()[rank - 1]);
    if c.numel() == 0 {
        return Ok(true);
    }
    if rows == 1 && columns > 1 {
        // A vector times a matrix is the turned matrix times it.
        let plus = finish.plus.map(|p| turned(p, false));
        let before = finish.before.map(|z| turned(z, true));
        let finish = Finish { plus: plus.as_ref(), before: before.as_ref(), ..finish };
        return product(&turned(b, false), &turned(a, true), finish, &turned(c, true));
    }
    let (mut fetch_a, mut fetch_b) = (fetch_of(a, rank - 1), fetch_of(b, rank - 2));
    if !(fetch_a.quads && fetch_b.quads && (columns > 1 || fetch_a.along_depth && fetch_b.along_depth)) {
        (fetch_a.quads, fetch_b.quads) = (false, false);
    }
    let numbers = |call: &mut Call| batch_sizes(call, c);
    let inputs = |call: &mut Call| -> Result<()> {
        bind(call, &LEFT, a, fetch_a.quads)?;
        bind(call, &RIGHT, b, fetch_b.quads)
    };
    let input_text = || operand_text("left", "a", false, fetch_a.quads, "f32") + &operand_text("right", "b", true, fetch_b.quads, "f32");
    let outputs = |call: &mut Call| finish.outputs(call, c);
    let output_text = || finish.text("f32", "v + added(b, m, n)");
    let forms = [fetch_a.along_depth, fetch_b.along_depth, fetch_a.quads].iter().fold(0, |n, &bit| 2 * n + bit as usize);
    // N: the depth is contiguous in a, the columns in b.
    let name = ["matmul/TN", "matmul/TN/4", "matmul/TT", "matmul/TT/4", "matmul/NN", "matmul/NN/4", "matmul/NT", "matmul/NT/4"][forms];
    Product {
        name,
        batch: c.shape()[..rank - 2].iter().product(),
        rows,
        columns,
        depth,
        a: fetch_a,
        b: fetch_b,
        heavy: false,
        numbers: &numbers,
        inputs: &inputs,
        input_text: &input_text,
        outputs: &outputs,
        output_text: &output_text,
    }
    .run()
}

/// A product of integers, one element for each invocation, deep ones in parts; sums wrap around as the dtype's do.
fn whole_product(a: &Array, b: &Array, plus: Option<&Array>, c: &Array) -> Result<bool> {
    let fits = |x: &&Array| x.dtype() == c.dtype() && (2..=5).contains(&x.rank());
    let whole = matches!(c.dtype(), DType::I8 | DType::I16 | DType::I32 | DType::I64 | DType::U8);
    if !(whole && [Some(a), Some(b), plus, Some(c)].iter().flatten().all(fits)) {
        return Ok(false);
    }
    let rank = c.rank();
    let finish = Finish { plus, ..Finish::default() };
    let depth = a.shape()[rank - 1];
    let (parts, part) = split(c.numel().div_ceil(WORKGROUP as usize), depth, 1, ROUNDS);
    let value = value_type(c.dtype());
    let (sum, product) = match c.dtype() {
        DType::I64 => ("i64_add(SUM, V)", "i64_mul(x, y)"),
        _ => ("SUM + V", "x * y"),
    };
    let joined = |a: &str, b: &str| sum.replace("SUM", a).replace('V', b);
    let finished = finish.text(value, &joined("v", "added(b, m, n)"));
    let call = |name: &str| {
        let mut call = Call::new(name);
        call.unchecked();
        call.number("M", c.shape()[rank - 2]).number("N", c.shape()[rank - 1]).number("K", depth).number("n", c.numel());
        call.number("parts", parts).number("part", part);
        batch_sizes(&mut call, c);
        call
    };
    let wide = if c.dtype() == DType::I64 { DType::I64 } else { DType::I32 };
    let partial = if parts > 1 { Some(Array::empty(&[parts, c.numel()], wide, c.device())?) } else { None };
    let mut first = call(if parts > 1 { "matmul/whole/part" } else { "matmul/whole" });
    bind(&mut first, &LEFT, a, false)?;
    bind(&mut first, &RIGHT, b, false)?;
    match &partial {
        Some(partial) => first.write("partial", partial)?,
        None => finish.outputs(&mut first, c)?,
    }
    let text = || {
        let store = if parts > 1 { "partial_set(i, sum);" } else { "store(b, m, n, sum);" };
        let items = operand_text("left", "a", false, false, value)
            + &operand_text("right", "b", true, false, value)
            + if parts > 1 { "" } else { &finished };
        let body = format!(
            "if (i >= p.n * p.parts) {{ return; }}
let e = i % p.n;
let b = e / (p.M * p.N);
let m = (e / p.N) % p.M;
let n = e % p.N;
let row = side_a(base_a(b), m);
let column = side_b(base_b(b), n);
let begin = (i / p.n) * p.part;
let end = min(p.K, begin + p.part);
var sum = {value}();
for (var k = begin; k < end; k++) {{
    let x = load_a(row, deep_a(0u, k));
    let y = load_b(column, deep_b(0u, k));
    sum = {};
}}
{store}",
            joined("sum", product)
        );
        (items, body)
    };
    first.launch(((c.numel() * parts) as u64).div_ceil(WORKGROUP as u64), WORKGROUP, &text)?;
    let Some(partial) = partial else { return Ok(true) };
    let mut last = call("matmul/whole/join");
    last.read("partial", &partial)?;
    finish.outputs(&mut last, c)?;
    let body = format!(
        "if (i >= p.n) {{ return; }}
var sum = {value}();
for (var part = 0u; part < p.parts; part++) {{ sum = {}; }}
store(i / (p.M * p.N), (i / p.N) % p.M, i % p.N, sum);",
        joined("sum", "partial(part * p.n + i)")
    );
    last.launch((c.numel() as u64).div_ceil(WORKGROUP as u64), WORKGROUP, &|| (finished.clone(), body.clone()))
}

/// A batch number's coordinates.
const COORDINATES: &str =
    "    let c2 = select(0u, b % p.n2, p.n2 > 1u);\n    let c1 = (b / p.n2) % p.n1;\n    let c0 = b / (p.n2 * p.n1);\n";

/// Sizes of a convolution as parameters; `plane` is that of the side which the product's columns run over.
fn sizes(call: &mut Call, s: &ConvShape, plane: usize) {
    call.number("taps", volume(s.kernel)).number("plane", plane).number("input", volume(s.input)).number("output", volume(s.output));
    call.number("batch_n", s.batch).number("in_channels", s.in_channels).number("out_channels", s.out_channels);
    call.number("ci", s.in_channels / s.groups).number("co", s.out_channels / s.groups).number("groups", s.groups);
    for (d, axis) in ["z", "y", "x"].iter().enumerate() {
        call.number(format!("i{axis}"), s.input[d]).number(format!("o{axis}"), s.output[d]).number(format!("k{axis}"), s.kernel[d]);
        call.number(format!("s{axis}"), s.stride[d]).number(format!("p{axis}"), s.padding[d]).number(format!("d{axis}"), s.dilation[d]);
    }
}

/// Places of convolutions: where their image begins, and coordinates. An element is found by those of its side and its depth.
const PLACES: &str = "
alias Place_a = u32;
alias Place_b = vec4<i32>;
fn base_a(b: u32) -> u32 { return b; }
fn base_b(b: u32) -> u32 { return b; }
// A tap's coordinates.
fn tap(t: u32) -> vec3<i32> {
    return vec3<i32>(vec3<u32>((t / (p.ky * p.kx)) * p.dz, ((t / p.kx) % p.ky) * p.dy, (t % p.kx) * p.dx));
}
// Those of a place in the output, in steps of the input.
fn stepped(o: u32) -> vec3<i32> {
    return vec3<i32>(vec3<u32>((o / (p.oy * p.ox)) * p.sz, ((o / p.ox) % p.oy) * p.sy, (o % p.ox) * p.sx));
}
fn padding() -> vec3<i32> { return vec3<i32>(vec3<u32>(p.pz, p.py, p.px)); }
// Where coordinates lie in the input, or -1 outside.
fn seen(at: vec3<i32>) -> i32 {
    if (any(at < vec3<i32>()) || any(at >= vec3<i32>(vec3<u32>(p.iz, p.iy, p.ix)))) { return -1; }
    return (at.x * i32(p.iy) + at.y) * i32(p.ix) + at.z;
}
";

fn volume(sizes: [usize; 3]) -> usize {
    sizes.iter().product()
}

/// As the CPU's `conv::forward`; one product for each group, over the channels and taps.
pub fn conv_forward(s: &ConvShape, x: &Array, weight: &Array, bias: Option<&Array>, out: &Array) -> Result<bool> {
    if !are_floats(&[Some(x), Some(weight), bias, Some(out)]) {
        return Ok(false);
    }
    if out.numel() == 0 {
        return Ok(true);
    }
    let (taps, plane) = (volume(s.kernel), volume(s.output));
    let numbers = |call: &mut Call| sizes(call, s, plane);
    let inputs = |call: &mut Call| -> Result<()> {
        call.read("x", x)?;
        call.read("w", weight)
    };
    let input_text = || {
        format!(
            "{PLACES}
fn side_a(g: u32, m: u32) -> u32 {{ return (g * p.co + m) * p.ci * p.taps; }}
fn deep_a(g: u32, k: u32) -> u32 {{ return k; }}
fn load_a(side: u32, deep: u32) -> f32 {{ return w(side + deep); }}
fn side_b(g: u32, n: u32) -> vec4<i32> {{
    return vec4<i32>(i32(((n / p.plane) * p.in_channels + g * p.ci) * p.input), stepped(n % p.plane) - padding());
}}
fn deep_b(g: u32, k: u32) -> vec4<i32> {{ return vec4<i32>(i32((k / p.taps) * p.input), tap(k % p.taps)); }}
fn load_b(side: vec4<i32>, deep: vec4<i32>) -> f32 {{
    let at = seen(side.yzw + deep.yzw);
    if (at < 0) {{ return 0.0; }}
    return x(u32(side.x + deep.x + at));
}}
"
        )
    };
    let outputs = |call: &mut Call| -> Result<()> {
        call.read_or("bias", bias, "0.0")?;
        call.write("out", out)
    };
    let output_text = || {
        "fn store(g: u32, m: u32, n: u32, v: f32) {
    let c = g * p.co + m;
    out_set(((n / p.plane) * p.out_channels + c) * p.plane + n % p.plane, v + bias(c));
}
"
        .to_owned()
    };
    Product {
        name: "conv_forward",
        batch: s.groups,
        rows: s.out_channels / s.groups,
        columns: s.batch * plane,
        depth: s.in_channels / s.groups * taps,
        a: Fetch::DEPTH,
        b: Fetch::SIDE,
        heavy: true,
        numbers: &numbers,
        inputs: &inputs,
        input_text: &input_text,
        outputs: &outputs,
        output_text: &output_text,
    }
    .tiled()
}

/// The gradient for the input, or the transposed convolution of `dy` with its bias.
pub fn conv_backward_input(s: &ConvShape, dy: &Array, weight: &Array, bias: Option<&Array>, dx: &Array) -> Result<bool> {
    if !are_floats(&[Some(dy), Some(weight), bias, Some(dx)]) {
        return Ok(false);
    }
    if dx.numel() == 0 {
        return Ok(true);
    }
    let (taps, plane) = (volume(s.kernel), volume(s.input));
    let numbers = |call: &mut Call| {
        sizes(call, s, plane);
        call.flag("STRIDED", s.stride != [1; 3]);
    };
    let inputs = |call: &mut Call| -> Result<()> {
        call.read("g", dy)?;
        call.read("w", weight)
    };
    let input_text = || {
        format!(
            "{PLACES}
fn side_a(b: u32, m: u32) -> u32 {{ return m * p.taps; }}
fn deep_a(b: u32, k: u32) -> u32 {{ return (b * p.co + k / p.taps) * p.ci * p.taps + k % p.taps; }}
fn load_a(side: u32, deep: u32) -> f32 {{ return w(side + deep); }}
fn side_b(b: u32, n: u32) -> vec4<i32> {{
    let i = n % p.plane;
    let at = vec3<i32>(vec3<u32>(i / (p.iy * p.ix), (i / p.ix) % p.iy, i % p.ix));
    return vec4<i32>(i32(((n / p.plane) * p.out_channels + b * p.co) * p.output), at + padding());
}}
fn deep_b(b: u32, k: u32) -> vec4<i32> {{ return vec4<i32>(i32((k / p.taps) * p.output), tap(k % p.taps)); }}
fn load_b(side: vec4<i32>, deep: vec4<i32>) -> f32 {{
    var at = side.yzw - deep.yzw;
    if (any(at < vec3<i32>())) {{ return 0.0; }}
    if (STRIDED) {{
        let step = vec3<i32>(vec3<u32>(p.sz, p.sy, p.sx));
        if (any(at % step != vec3<i32>())) {{ return 0.0; }}
        at = at / step;
    }}
    if (any(at >= vec3<i32>(vec3<u32>(p.oz, p.oy, p.ox)))) {{ return 0.0; }}
    return g(u32(side.x + deep.x + (at.x * i32(p.oy) + at.y) * i32(p.ox) + at.z));
}}
"
        )
    };
    let outputs = |call: &mut Call| -> Result<()> {
        call.read_or("bias", bias, "0.0")?;
        call.write("out", dx)
    };
    let output_text = || {
        "fn store(b: u32, m: u32, n: u32, v: f32) {
    let c = b * p.ci + m;
    out_set(((n / p.plane) * p.in_channels + c) * p.plane + n % p.plane, v + bias(c));
}
"
        .to_owned()
    };
    Product {
        name: "conv_backward_input",
        batch: s.groups,
        rows: s.in_channels / s.groups,
        columns: s.batch * plane,
        depth: s.out_channels / s.groups * taps,
        a: Fetch::DEPTH,
        b: Fetch::SIDE,
        heavy: true,
        numbers: &numbers,
        inputs: &inputs,
        input_text: &input_text,
        outputs: &outputs,
        output_text: &output_text,
    }
    .tiled()
}

/// The gradient for the weights: a product over all outputs.
pub fn conv_backward_weight(s: &ConvShape, x: &Array, dy: &Array, dw: &Array) -> Result<bool> {
    if !are_floats(&[Some(x), Some(dy), Some(dw)]) {
        return Ok(false);
    }
    if dw.numel() == 0 {
        return Ok(true);
    }
    let (taps, plane) = (volume(s.kernel), volume(s.output));
    let numbers = |call: &mut Call| sizes(call, s, plane);
    let inputs = |call: &mut Call| -> Result<()> {
        call.read("x", x)?;
        call.read("g", dy)
    };
    let input_text = || {
        format!(
            "{PLACES}
fn side_a(b: u32, m: u32) -> u32 {{ return (b * p.co + m) * p.plane; }}
fn deep_a(b: u32, k: u32) -> u32 {{ return (k / p.plane) * p.out_channels * p.plane + k % p.plane; }}
fn load_a(side: u32, deep: u32) -> f32 {{ return g(side + deep); }}
fn side_b(b: u32, n: u32) -> vec4<i32> {{
    return vec4<i32>(i32((b * p.ci + n / p.taps) * p.input), tap(n % p.taps) - padding());
}}
fn deep_b(b: u32, k: u32) -> vec4<i32> {{
    return vec4<i32>(i32((k / p.plane) * p.in_channels * p.input), stepped(k % p.plane));
}}
fn load_b(side: vec4<i32>, deep: vec4<i32>) -> f32 {{
    let at = seen(side.yzw + deep.yzw);
    if (at < 0) {{ return 0.0; }}
    return x(u32(side.x + deep.x + at));
}}
"
        )
    };
    let outputs = |call: &mut Call| -> Result<()> { call.write("out", dw) };
    let output_text = || {
        "fn store(b: u32, m: u32, n: u32, v: f32) { out_set((b * p.co + m) * p.N + n, v); }
"
        .to_owned()
    };
    Product {
        name: "conv_backward_weight",
        batch: s.groups,
        rows: s.out_channels / s.groups,
        columns: s.in_channels / s.groups * taps,
        depth: s.batch * plane,
        a: Fetch::DEPTH,
        b: Fetch::DEPTH,
        heavy: true,
        numbers: &numbers,
        inputs: &inputs,
        input_text: &input_text,
        outputs: &outputs,
        output_text: &output_text,
    }
    .tiled()
}
