//! The machinery of elementwise ops: what a [`Row`] of the table in [`crate::rows`] is, and how it is called. Promotion,
//! broadcasting, casts, in-place and `out=` forms, recording and both kinds of backward live here, once.

use crate::device::arrays;
use crate::mode::{self, Mode};
use crate::saved::Saved;
use crate::tape::rebase;
use crate::tensor::{Fresh, Tensor};
use rustnn_autograd::{Backward, Context, Grads, Node, NodeRef};
use rustnn_kernels::elementwise::Kernel;
use rustnn_kernels::value::{Number, Value};
use rustnn_tensor::{Array, DType, Device, Error, Overlap, Result, Shape, Strides, bail, shape};
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};

pub use rustnn_kernels::value::Scalar;

/// One elementwise op.
pub struct Row {
    /// PyTorch's name.
    pub name: &'static str,
    pub doc: &'static str,
    pub rule: Rule,
    pub inputs: &'static [&'static str],
    /// Numbers given at run time, with their defaults (None: required).
    pub scalars: &'static [(&'static str, Option<f64>)],
    pub kernel: Kernel,
    /// One per input.
    pub gradients: &'static [Option<Gradient>],
    /// What `grad_fn` shows where it is not the name in camel case with `Backward0`.
    pub backward_name: Option<&'static str>,
    /// The range of each input that tests draw from.
    pub ranges: &'static [std::ops::Range<f64>],
    /// What the gradients use when all inputs are tensors and the scalars have their defaults; see [`Row::uses`].
    pub uses: UsesCell,
    /// Dtypes or values that PyTorch refuses; anything goes with floating-point tensors where the rule is not `Select`.
    pub check: Option<fn(&Row, DType, &[Operand], &[Scalar]) -> Result<()>>,
}

/// Eight bits per input: what its gradient uses. Found once, on first use.
#[derive(Default)]
pub struct UsesCell(AtomicU32);

impl UsesCell {
    const KNOWN: u32 = 1 << 31;

    pub const fn new() -> Self {
        UsesCell(AtomicU32::new(0))
    }
}

impl Row {
    /// Bit i of byte k: the gradient of input k uses input i (the result being input `inputs.len()`), given tensors and default
    /// scalars.
    #[inline]
    fn uses(&self) -> u32 {
        match self.uses.0.load(Relaxed) {
            0 => self.find_uses(),
            known => known & !UsesCell::KNOWN,
        }
    }

    #[cold]
    fn find_uses(&self) -> u32 {
        let n = self.inputs.len();
        let scalars: SmallVec<[Scalar; 4]> = self.scalars.iter().map(|s| Scalar::Float(s.1.unwrap_or(f64::NAN))).collect();
        let mut uses = 0;
        for (k, gradient) in self.gradients.iter().enumerate().take(3) {
            if let Some(gradient) = gradient {
                uses |= (probe(gradient, n, &[], &scalars).uses() as u32) << (8 * k);
            }
        }
        self.uses.0.store(uses | UsesCell::KNOWN, Relaxed);
        uses
    }

    #[inline]
    fn uses_output(&self, uses: u8) -> bool {
        uses >> self.inputs.len() & 1 == 1
    }

    fn save_output(&self, saves: &mut Option<Box<Saves>>, out: &Tensor) -> Result<()> {
        let saved = Saved::output(out, 0)?;
        if let Some(Ok(Some(list))) = saves.as_mut().map(|saves| saves.0.get_mut()) {
            list.push((self.inputs.len() as u8, saved));
        }
        Ok(())
    }

    #[inline]
    fn has_defaults(&self, scalars: &[Scalar]) -> bool {
        self.scalars.iter().zip(scalars).all(|(declared, given)| declared.1 == Some(given.to_f64()))
    }
}

/// How a row's result dtype follows from the promoted dtype of its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The promoted dtype.
    Number,
    /// The promoted dtype, the default float for integers.
    Float,
    /// bool; compares in the promoted dtype.
    Test,
    /// bool; of floats only.
    FloatTest,
    /// The promoted dtype, which must be an integer or bool.
    Bits,
    /// As `Number`, but the first input is a condition that takes no part in promotion.
    Select,
}

/// The gradient of one input: a formula of inputs, result `y` and the result's gradient `dy`.
pub struct Gradient {
    pub kernel: Kernel,
    pub recorded: for<'a> fn(&[Recorded<'a>], &[Recorded<'a>]) -> Recorded<'a>,
    pub probe: fn(&[Probe], &[Probe]) -> Probe,
}

/// An input of a call: a tensor, or a number that takes the tensors' dtype.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'a> {
    Tensor(&'a Tensor),
    Scalar(Scalar),
}

impl<'a> From<&'a Tensor> for Operand<'a> {
    #[inline(always)]
    fn from(tensor: &'a Tensor) -> Self {
        Operand::Tensor(tensor)
    }
}
impl From<Scalar> for Operand<'_> {
    #[inline(always)]
    fn from(scalar: Scalar) -> Self {
        Operand::Scalar(scalar)
    }
}
impl From<f64> for Operand<'_> {
    fn from(value: f64) -> Self {
        Operand::Scalar(Scalar::Float(value))
    }
}

impl<'a> Operand<'a> {
    #[inline(always)]
    pub fn tensor(self) -> Option<&'a Tensor> {
        match self {
            Operand::Tensor(t) => Some(t),
            Operand::Scalar(_) => None,
        }
    }
}

// ------------------------------------------------------------------------------------------------------------ promotion

static DEFAULT_DTYPE: AtomicU8 = AtomicU8::new(DType::F32 as u8);

/// The dtype of new floating-point tensors.
pub fn default_dtype() -> DType {
    match DEFAULT_DTYPE.load(Relaxed) {
        d if d == DType::F64 as u8 => DType::F64,
        d if d == DType::F16 as u8 => DType::F16,
        d if d == DType::BF16 as u8 => DType::BF16,
        _ => DType::F32,
    }
}

pub fn set_default_dtype(dtype: DType) -> Result<()> {
    if !matches!(dtype, DType::F32 | DType::F64 | DType::F16 | DType::BF16) {
        bail!(Type, "only floating-point types are supported as the default type");
    }
    DEFAULT_DTYPE.store(dtype as u8, Relaxed);
    Ok(())
}

fn scalar_dtype(scalar: Scalar) -> DType {
    match scalar {
        Scalar::Bool(_) => DType::Bool,
        Scalar::Int(_) => DType::I64,
        Scalar::Float(_) => default_dtype(),
    }
}

fn promote(a: Option<DType>, b: Option<DType>) -> Result<Option<DType>> {
    match (a, b) {
        (Some(a), Some(b)) => match a.promote(b) {
            Some(c) => Ok(Some(c)),
            None => bail!(
                Runtime,
                "Promotion for {} and {} types is not supported, attempted to promote {} and {}",
                a.name(),
                b.name(),
                a.scalar_name(),
                b.scalar_name()
            ),
        },
        (a, b) => Ok(a.or(b)),
    }
}

/// PyTorch's result type: tensors with dimensions decide; 0-dim tensors, then numbers, only lift the kind.
pub fn result_type(operands: &[Operand]) -> Result<DType> {
    let (mut dims, mut zeros, mut numbers) = (None, None, None);
    for operand in operands {
        match operand {
            Operand::Tensor(t) if t.rank() > 0 => dims = promote(dims, Some(t.dtype()))?,
            Operand::Tensor(t) => zeros = promote(zeros, Some(t.dtype()))?,
            Operand::Scalar(s) => numbers = promote(numbers, Some(scalar_dtype(*s)))?,
        }
    }
    let combine = |high: Option<DType>, low: Option<DType>| match (high, low) {
        // A float keeps its precision beside a complex number.
        (Some(h), Some(l)) if h.is_float() && l.is_complex() => promote(Some(h), Some(DType::C32)),
        (Some(h), Some(l)) if h.kind() < l.kind() || h == DType::Bool => promote(Some(h), Some(l)),
        (h, l) => Ok(h.or(l)),
    };
    combine(combine(dims, zeros)?, numbers)?.ok_or_else(|| Error::Runtime("result_type of nothing".into()))
}

// ----------------------------------------------------------------------------------------------------------------- call

/// What a call works out before it runs.
struct Plan {
    compute: DType,
    result: DType,
    shape: Shape,
    device: Device,
}

fn plan(row: &Row, inputs: &[Operand], scalars: &[Scalar]) -> Result<Plan> {
    let voting = if row.rule == Rule::Select { &inputs[1..] } else { inputs };
    let mut compute = match voting {
        // The common case: one dtype.
        [Operand::Tensor(a)] => a.dtype(),
        [Operand::Tensor(a), Operand::Tensor(b)] if a.dtype() == b.dtype() => a.dtype(),
        _ => result_type(voting)?,
    };
    if row.rule == Rule::Float && compute.is_integral() {
        compute = default_dtype();
    }
    if let Some(check) = row.check {
        check(row, compute, inputs, scalars)?;
    }
    let result = match row.rule {
        Rule::Test | Rule::FloatTest => DType::Bool,
        _ => compute,
    };
    if row.rule == Rule::FloatTest && compute.is_integral() {
        compute = DType::F32;
    }
    if !row.kernel.supports(compute) && !crate::unsigned::runs(row, compute) {
        return Err(unsupported(row, compute));
    }
    let mut out: Option<Shape> = None;
    let mut device: Option<Device> = None;
    for t in inputs.iter().filter_map(|o| o.tensor()) {
        // A 0-dim tensor has no vote, and so no place in the dtype that the kernel was asked about.
        if t.dtype() != compute && !rustnn_kernels::copy::can_convert(t.dtype(), compute) {
            return Err(Error::not_implemented(row.name, t.dtype()));
        }
        out = Some(match out {
            None => t.shape_owned(),
            Some(shape) => shape::broadcast(&shape, t.shape())?,
        });
        // A 0-dim CPU tensor in front follows the others.
        let follows =
            device == Some(Device::Cpu) && inputs.iter().filter_map(|o| o.tensor()).take_while(|u| !u.same(t)).all(|u| u.rank() == 0);
        device = if follows { Some(t.device()) } else { Some(join_device(device, t)?) };
    }
    Ok(Plan { compute, result, shape: out.unwrap_or_default(), device: device.unwrap_or(Device::Cpu) })
}

#[cold]
fn unsupported(row: &Row, compute: DType) -> Error {
    if !compute.is_complex() {
        return Error::not_implemented(row.name, compute);
    }
    match row.name.trim_start_matches('_') {
        name @ ("maximum" | "minimum" | "fmax" | "fmin") => Error::Runtime(format!("{name} not implemented for complex tensors.")),
        "abs" => Error::Runtime("In-place abs is not supported for complex tensors.".into()),
        "heaviside" => Error::Runtime("heaviside is not yet implemented for complex tensors.".into()),
        "sign" => Error::NotImplemented(
            "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use torch.sgn instead.".into(),
        ),
        "clamp" | "clamp_min" | "clamp_max" | "clamp_min_tensor" | "clamp_max_tensor" | "relu" => {
            Error::NotImplemented("clamp is not supported for complex types".into())
        }
        name @ ("floor" | "ceil" | "trunc") => Error::NotImplemented(format!("{name} is not supported for complex inputs")),
        name @ ("round" | "erf" | "erfc" | "erfinv") => Error::not_implemented(&format!("{name}_vml_cpu"), compute),
        "floor_divide" => Error::not_implemented("div_floor_cpu", compute),
        "squared_error" => Error::not_implemented("mse_cpu", compute),
        name => Error::not_implemented(&format!("{name}_cpu"), compute),
    }
}

/// All tensors of a call lie on one device, but 0-dim CPU tensors go anywhere.
fn join_device(device: Option<Device>, t: &Tensor) -> Result<Device> {
    match device {
        None => Ok(t.device()),
        Some(d) if d == t.device() || (t.rank() == 0 && t.device() == Device::Cpu) => Ok(d),
        Some(d) => bail!(
            Runtime,
            "Expected all tensors to be on the same device, but found at least two devices, {d} and {now}! Tensor on device {now} is not on the expected device {d}!",
            now = t.device()
        ),
    }
}

/// The strides of a fresh result if it is not row-major: those of the first input of its shape if that one is dense, else the
/// dimensions in the inputs' order of strides, where an earlier input counts first.
fn result_strides(shape: &[usize], inputs: &[Operand]) -> Option<Strides> {
    let tensors = || inputs.iter().filter_map(|o| o.tensor());
    if shape.len() < 2 || tensors().all(|t| t.is_contiguous()) {
        return None;
    }
    if let Some(first) = tensors().find(|t| t.shape() == shape).filter(|t| is_dense(t.array())) {
        return (!first.is_contiguous()).then(|| first.strides().into());
    }
    ordered_strides(shape, &tensors().map(|t| t.array().strides_as(shape)).collect::<SmallVec<[Strides; 3]>>())
}

/// The strides of a fresh copy of an array if it is not row-major: its own where it is dense, else its order of dimensions.
pub fn strides_like(array: &Array) -> Option<Strides> {
    if array.rank() < 2 || array.is_contiguous() {
        return None;
    }
    if is_dense(array) { Some(array.strides().into()) } else { ordered_strides(array.shape(), &[array.strides().into()]) }
}

/// Dense strides with the dimensions in the order of the given ones, where the earlier count first; None if that is row-major.
fn ordered_strides(shape: &[usize], strides: &[Strides]) -> Option<Strides> {
    let further_out = |a: usize, b: usize| {
        for own in strides {
            let (x, y) = (own[a].abs(), own[b].abs());
            if x == 0 || y == 0 {
                continue; // broadcast: the next input decides
            }
            if x != y {
                return x.cmp(&y);
            }
            if shape[a] > shape[b] {
                return std::cmp::Ordering::Greater;
            }
        }
        std::cmp::Ordering::Equal
    };
    // From the innermost to the outermost; no total order, so the insertions are PyTorch's.
    let mut order: SmallVec<[usize; 6]> = (0..shape.len()).rev().collect();
    for i in 1..order.len() {
        let mut at = i;
        for before in (0..i).rev() {
            match further_out(order[before], order[at]) {
                std::cmp::Ordering::Greater => {
                    order.swap(before, at);
                    at = before;
                }
                std::cmp::Ordering::Less => break,
                std::cmp::Ordering::Equal => {}
            }
        }
    }
    if order.iter().rev().copied().eq(0..shape.len()) {
        return None;
    }
    let mut out: Strides = smallvec::smallvec![0; shape.len()];
    let mut next = 1isize;
    for &d in &order {
        out[d] = next;
        next *= shape[d].max(1) as isize;
    }
    Some(out)
}

/// Whether the elements fill a piece of memory without gaps, in any order of dimensions.
pub fn is_dense(array: &Array) -> bool {
    let mut dims: SmallVec<[(isize, usize); 6]> =
        array.shape().iter().zip(array.strides()).filter(|d| *d.0 != 1).map(|(&n, &s)| (s, n)).collect();
    dims.sort_unstable();
    let mut expected = 1;
    dims.iter().all(|&(stride, size)| {
        let ok = stride == expected;
        expected *= size as isize;
        ok
    })
}

/// A fresh array laid out like the inputs.
fn fresh(plan: &Plan, inputs: &[Operand]) -> Result<Array> {
    let out = Array::empty(&plan.shape, plan.result, plan.device)?;
    Ok(match result_strides(&plan.shape, inputs) {
        None => out,
        Some(strides) => out.with_geometry(plan.shape.clone(), strides, 0),
    })
}

pub(crate) fn run(row: &Row, compute: DType, inputs: &[Operand], scalars: &[Scalar], out: &Array) -> Result<()> {
    if crate::unsigned::twin(compute).is_some() {
        return crate::unsigned::run_as_twin(row, compute, inputs, scalars, out);
    }
    run_kernel(&row.kernel, compute, inputs, scalars, out)
}

fn run_kernel(kernel: &Kernel, compute: DType, inputs: &[Operand], scalars: &[Scalar], out: &Array) -> Result<()> {
    let operands: SmallVec<[arrays::Operand; 5]> = inputs
        .iter()
        .map(|o| match o {
            Operand::Tensor(t) => arrays::Operand::Array(t.array()),
            Operand::Scalar(s) => arrays::Operand::Scalar(*s),
        })
        .collect();
    arrays::elementwise(kernel, compute, &operands, scalars, out)
}

/// Runs a row on memory that is known to fit: no checks, no recording.
pub(crate) fn run_into(row: &Row, inputs: &[&Tensor], scalars: &[Scalar], out: &Array) -> Result<()> {
    let operands: SmallVec<[Operand; 5]> = inputs.iter().map(|t| Operand::Tensor(t)).collect();
    run(row, out.dtype(), &operands, scalars, out)
}

/// The commonest call, decided at a glance (see [`rustnn_kernels::arrays::elementwise_plain`]), while no mode is on but `no_grad`.
/// `put` writes the result down where it is to stay. None: it is another call, and nothing was done.
///
/// What one function leaves in memory for another is read there before it has arrived, and waited for: hence the errors in boxes,
/// which fit into registers, and so much in one piece.
#[inline]
pub fn call_plain<'t, 'a>(
    row: &'static Row,
    inputs: &[Operand<'a>],
    scalars: &[Scalar],
    put: impl FnOnce(Fresh<'a>) -> &'t Tensor,
) -> Option<std::result::Result<(), Box<Error>>> {
    let modes = mode::word();
    if modes & !(Mode::GradOff as u32) != 0 || row.rule == Rule::Select {
        return None;
    }
    let whole = |o: &Operand| matches!(o, Operand::Tensor(t) if t.dtype().is_integral());
    if row.check.is_some() {
        // Its checks are the longer way's.
        let is_bool = |o: &Operand| matches!(o, Operand::Scalar(Scalar::Bool(_)));
        match scalars.first() {
            Some(Scalar::Bool(_)) => return None,
            Some(Scalar::Float(_)) if inputs.iter().all(whole) => return None,
            _ if inputs.iter().any(is_bool) => return None,
            _ => {}
        }
    }
    let operand = |i: usize| match inputs[i] {
        Operand::Tensor(t) => rustnn_kernels::arrays::Operand::Array(t.array()),
        Operand::Scalar(s) => rustnn_kernels::arrays::Operand::Scalar(s),
    };
    let out = match rustnn_kernels::arrays::elementwise_plain(&row.kernel, operand, scalars)? {
        Ok(out) => out,
        Err(error) => return Some(Err(Box::new(error))),
    };
    let mut wanted = 0;
    for (i, input) in inputs.iter().enumerate() {
        wanted |= (input.tensor().is_some_and(Tensor::requires_grad) as u8) << i;
    }
    if !mode::RECORDS || wanted == 0 || modes != 0 || out.dtype() == DType::Bool || row.gradients.iter().all(Option::is_none) {
        put(Fresh::new(out));
        return Some(Ok(()));
    }
    let uses = row_uses(row, inputs, scalars, wanted);
    let mut saved = match Saves::of(inputs, uses) {
        Ok(saved) => saved,
        Err(error) => return Some(Err(Box::new(error))),
    };
    if !row.uses_output(uses) {
        put(Fresh::of(row_node(row, inputs, scalars, uses, saved), out));
        return Some(Ok(()));
    }
    let tensor = put(Fresh::new(out));
    if let Err(error) = row.save_output(&mut saved, tensor) {
        return Some(Err(Box::new(error)));
    }
    tensor.set_edge(rustnn_autograd::Edge { node: row_node(row, inputs, scalars, uses, saved), slot: 0 });
    Some(Ok(()))
}

#[inline(always)]
fn row_node(row: &'static Row, inputs: &[Operand], scalars: &[Scalar], uses: u8, saved: Option<Box<Saves>>) -> NodeRef<Tensor> {
    Node::filled(RowBackward { row, scalars: SmallVec::new(), uses, saved, inputs: None }, |edges, payload| {
        inputs.iter().for_each(|input| edges.push(edge_of(input)));
        scalars.iter().for_each(|scalar| payload.scalars.push(*scalar));
    })
}

/// Calls a row: `out = f(inputs; scalars)`.
pub fn call(row: &'static Row, inputs: &[Operand], scalars: &[Scalar]) -> Result<Tensor> {
    debug_assert_eq!((inputs.len(), scalars.len()), (row.inputs.len(), row.scalars.len()));
    let mut place = None;
    if let Some(done) = call_plain(row, inputs, scalars, |fresh| place.insert(fresh.tensor())) {
        return match (done, place) {
            (Ok(()), Some(out)) => Ok(out),
            (Err(error), _) => Err(*error),
            (Ok(()), None) => unreachable!("a call that was done has put its result down"),
        };
    }
    if let Some(out) = crate::complex::instead(row, inputs)? {
        return Ok(out);
    }
    let plan = plan(row, inputs, scalars)?;
    let out = fresh(&plan, inputs)?;
    run(row, plan.compute, inputs, scalars, &out)?;
    if !wants_record(row, plan.result, inputs) {
        return Ok(Tensor::from_array(out));
    }
    attached(inputs, RowBackward::new(row, inputs, scalars, &out)?, out)
}

/// Whether the gradient of a row of one input uses that input.
pub(crate) fn uses_input(row: &Row) -> bool {
    row.uses() & 1 == 1
}

/// The result of a row of one input and no numbers, recorded: `out` holds it already.
pub(crate) fn recorded(row: &'static Row, input: &Tensor, out: Array) -> Result<Tensor> {
    let inputs = [Operand::Tensor(input)];
    attached(&inputs, RowBackward::new(row, &inputs, &[], &out)?, out)
}

/// The result of a call, on the tape.
fn attached(inputs: &[Operand], mut payload: RowBackward, out: Array) -> Result<Tensor> {
    let out = Tensor::from_array(out);
    payload.save_output(&out)?;
    let node = Node::new(mixed_edges(inputs), payload);
    crate::tape::note_trace(&node);
    out.set_edge(rustnn_autograd::Edge { node, slot: 0 });
    Ok(out)
}

#[inline(always)]
fn edge_of(input: &Operand) -> Option<rustnn_autograd::Edge<Tensor>> {
    input.tensor().filter(|t| t.dtype().is_differentiable()).and_then(Tensor::edge)
}

fn mixed_edges(inputs: &[Operand]) -> rustnn_autograd::Edges<Tensor> {
    inputs.iter().map(edge_of).collect()
}

#[inline]
fn wants_record(row: &Row, result: DType, inputs: &[Operand]) -> bool {
    mode::grad_enabled()
        && inputs.iter().any(|o| o.tensor().is_some_and(Tensor::requires_grad))
        && result.is_differentiable()
        && row.gradients.iter().any(Option::is_some)
}

/// Calls a row in place: `target = f(target, others; scalars)`. For a `Select` row the target is the second input.
pub fn call_inplace(row: &'static Row, target: &Tensor, others: &[Operand], scalars: &[Scalar]) -> Result<()> {
    let mut inputs: SmallVec<[Operand; 5]> = SmallVec::new();
    inputs.push(Operand::Tensor(target));
    inputs.extend_from_slice(others);
    if row.rule == Rule::Select {
        inputs.swap(0, 1);
    }
    let plan = plan(row, &inputs, scalars)?;
    if plan.shape.as_slice() != target.shape() {
        bail!(Runtime, "output with shape {:?} doesn't match the broadcast shape {:?}", target.shape(), plan.shape);
    }
    if !plan.result.can_cast(target.dtype()) {
        return Err(Error::result_cast(plan.result, target.dtype()));
    }
    check_destination(row, &plan, target)?;
    target.check_writable()?;
    check_overlap(target.array(), &inputs)?;
    let record = mode::grad_enabled() && inputs.iter().any(|o| o.tensor().is_some_and(Tensor::requires_grad));
    if !record || !target.dtype().is_differentiable() {
        run(row, plan.compute, &inputs, scalars, target.array())?;
        target.bump_version();
        return Ok(());
    }
    // A formula that needs the overwritten value gets a copy of it.
    let slot = if row.rule == Rule::Select { 1 } else { 0 };
    let uses = row_uses(row, &inputs, scalars, wanted_inputs(&inputs));
    let edges = mixed_edges_first(target, &inputs, slot);
    let mut payload = if uses >> slot & 1 == 1 {
        let original = original_of(target)?;
        let mut saved: Vec<Operand> = inputs.to_vec();
        saved[slot] = Operand::Tensor(&original);
        RowBackward::new(row, &saved, scalars, target.array())?
    } else {
        RowBackward::new(row, &inputs, scalars, target.array())?
    };
    run(row, plan.compute, &inputs, scalars, target.array())?;
    target.bump_version();
    payload.save_output(target)?;
    rebase(target, Node::new(edges, payload));
    Ok(())
}

/// In-place nodes list their target first: [`rebase`] relies on it.
fn mixed_edges_first(target: &Tensor, inputs: &[Operand], slot: usize) -> rustnn_autograd::Edges<Tensor> {
    let mut edges = mixed_edges(inputs);
    if slot != 0 {
        edges[0] = None;
        edges.swap(0, slot);
    }
    debug_assert!(target.edge().is_some() == edges[0].is_some());
    edges
}

/// The value of `target` before it is overwritten, with its place on the tape.
fn original_of(target: &Tensor) -> Result<Tensor> {
    let copy = Tensor::from_array(crate::copy::clone_array(target.array())?);
    if let Some(edge) = target.edge() {
        copy.set_edge(edge);
    }
    Ok(copy)
}

/// Calls a row into `out`, which is resized to fit as PyTorch does.
pub fn call_out(row: &'static Row, inputs: &[Operand], scalars: &[Scalar], out: &mut Tensor) -> Result<()> {
    if let Some(result) = crate::complex::instead(row, inputs)? {
        check_out_grad(row.name, inputs, out)?;
        if !result.dtype().can_cast(out.dtype()) {
            return Err(Error::result_cast(result.dtype(), out.dtype()));
        }
        resize_out(out, result.shape())?;
        out.check_writable()?;
        crate::copy::copy_array(result.array(), out.array())?;
        out.bump_version();
        return Ok(());
    }
    let plan = plan(row, inputs, scalars)?;
    check_out_grad(row.name, inputs, out)?;
    if !plan.result.can_cast(out.dtype()) {
        return Err(Error::result_cast(plan.result, out.dtype()));
    }
    check_destination(row, &plan, out)?;
    resize_out(out, &plan.shape)?;
    out.check_writable()?;
    check_overlap(out.array(), inputs)?;
    if out.dtype() == plan.result {
        run(row, plan.compute, inputs, scalars, out.array())?;
    } else {
        // What `out` can hold changes no result: a sum of halves overflows in a float64 `out` too.
        let result = fresh(&plan, inputs)?;
        run(row, plan.compute, inputs, scalars, &result)?;
        crate::copy::copy_array(&result, out.array())?;
    }
    out.bump_version();
    Ok(())
}

/// Whether a result can be written to `to`.
fn check_destination(row: &Row, plan: &Plan, to: &Tensor) -> Result<()> {
    if plan.device != to.device() {
        bail!(
            Runtime,
            "Expected all tensors to be on the same device, but found at least two devices, {} and {}!",
            to.device(),
            plan.device
        );
    }
    if !rustnn_kernels::copy::can_convert(plan.result, to.dtype()) {
        return Err(Error::not_implemented(row.name, to.dtype()));
    }
    Ok(())
}

/// `out=` takes part in no gradient.
pub fn check_out_grad(name: &str, inputs: &[Operand], out: &Tensor) -> Result<()> {
    if mode::grad_enabled() && (out.requires_grad() || inputs.iter().any(|o| o.tensor().is_some_and(Tensor::requires_grad))) {
        bail!(
            Runtime,
            "{name}(): functions with out=... arguments don't support automatic differentiation, but one of the arguments requires grad."
        );
    }
    Ok(())
}

/// Gives `out` the shape of a result. A non-empty tensor of another shape loses its contents, with a warning.
pub fn resize_out(out: &mut Tensor, shape: &[usize]) -> Result<()> {
    if out.shape() != shape {
        if out.numel() > 0 {
            crate::warning::warn(&crate::warning::resized(out.shape(), shape))?;
        }
        let array = Array::empty(shape, out.dtype(), out.device())?;
        out.set_array(array);
    }
    Ok(())
}

fn check_overlap(out: &Array, inputs: &[Operand]) -> Result<()> {
    if out.has_internal_overlap() {
        return Err(Error::memory_overlap());
    }
    for t in inputs.iter().filter_map(|o| o.tensor()) {
        if out.overlap(t.array()) == Overlap::Partial {
            return Err(Error::partial_overlap());
        }
    }
    Ok(())
}

// ------------------------------------------------------------------------------------------------------------- backward

/// The saved values and the row: one payload for all rows.
pub struct RowBackward {
    row: &'static Row,
    scalars: SmallVec<[Scalar; 2]>,
    /// Bit i: gradients use input i; bit `inputs.len()`: they use the result.
    uses: u8,
    /// None where no value is kept.
    saved: Option<Box<Saves>>,
    /// Shape and dtype of the inputs where they are not all those of the result.
    inputs: Option<Box<[Option<(Shape, DType)>]>>,
}

/// (input, value), the result under `inputs.len()`. None once released.
struct Saves(Mutex<Option<SmallVec<[(u8, Saved); 2]>>>);

impl Saves {
    /// Numbers among the inputs, and those tensors that are made use of; an empty list where the result will be.
    #[inline(always)]
    fn of(inputs: &[Operand], uses: u8) -> Result<Option<Box<Saves>>> {
        if uses == 0 && inputs.iter().all(|input| input.tensor().is_some()) { Ok(None) } else { Saves::collect(inputs, uses).map(Some) }
    }

    #[inline(never)]
    fn collect(inputs: &[Operand], uses: u8) -> Result<Box<Saves>> {
        let mut saves = Box::new(Saves(Mutex::new(Some(SmallVec::new()))));
        if let Ok(Some(list)) = saves.0.get_mut() {
            for (i, input) in inputs.iter().enumerate() {
                match input {
                    Operand::Scalar(s) => list.push((i as u8, Saved::Scalar(*s))),
                    Operand::Tensor(t) if uses >> i & 1 == 1 => list.push((i as u8, Saved::input(t)?)),
                    Operand::Tensor(_) => {}
                }
            }
        }
        Ok(saves)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<SmallVec<[(u8, Saved); 2]>>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// The inputs (bits) whose gradients will be asked for.
fn wanted_inputs(inputs: &[Operand]) -> u8 {
    let wanted = |o: &Operand| o.tensor().is_some_and(|t| t.dtype().is_differentiable() && t.requires_grad());
    inputs.iter().enumerate().fold(0, |bits, (i, o)| bits | (wanted(o) as u8) << i)
}

/// What the gradients of the `wanted` inputs make use of.
#[inline(always)]
fn row_uses(row: &Row, inputs: &[Operand], scalars: &[Scalar], wanted: u8) -> u8 {
    let n = row.inputs.len();
    if n <= 3 && inputs.iter().all(|o| o.tensor().is_some()) && row.has_defaults(scalars) {
        let known = row.uses();
        return (0..n).fold(0, |uses, k| if wanted >> k & 1 == 1 { uses | (known >> (8 * k)) as u8 } else { uses });
    }
    uses_with(row, inputs, scalars, wanted)
}

/// As [`row_uses`] of any inputs and scalars: reads the formulas anew.
#[inline(never)]
fn uses_with(row: &Row, inputs: &[Operand], scalars: &[Scalar], wanted: u8) -> u8 {
    let n = row.inputs.len();
    let mut uses = 0;
    for (k, gradient) in row.gradients.iter().enumerate() {
        if let (Some(gradient), true) = (gradient, wanted >> k & 1 == 1) {
            uses |= probe(gradient, n, inputs, scalars).uses();
        }
    }
    uses
}

fn probe(gradient: &Gradient, n: usize, inputs: &[Operand], scalars: &[Scalar]) -> Probe {
    let mut x: SmallVec<[Probe; 6]> = (0..n)
        .map(|i| match inputs.get(i) {
            Some(Operand::Scalar(s)) => Probe::Constant(s.to_f64()),
            _ => Probe::Uses(1 << i),
        })
        .collect();
    x.push(Probe::Uses(1 << n));
    x.push(Probe::Gradient);
    let s: SmallVec<[Probe; 4]> = scalars.iter().map(|s| Probe::Constant(s.to_f64())).collect();
    (gradient.probe)(&x, &s)
}

impl RowBackward {
    fn new(row: &'static Row, inputs: &[Operand], scalars: &[Scalar], out: &Array) -> Result<RowBackward> {
        let uses = row_uses(row, inputs, scalars, wanted_inputs(inputs));
        let saved = Saves::of(inputs, uses)?;
        let mut this = RowBackward { row, scalars: SmallVec::from_slice(scalars), uses, saved, inputs: None };
        if !inputs.iter().all(|o| o.tensor().is_none_or(|t| t.shape() == out.shape() && t.dtype() == out.dtype())) {
            this.inputs = Some(inputs.iter().map(|o| o.tensor().map(|t| (t.shape_owned(), t.dtype()))).collect());
        }
        Ok(this)
    }

    /// Keeps the result, where the gradients make use of it.
    fn save_output(&mut self, out: &Tensor) -> Result<()> {
        if self.row.uses_output(self.uses) { self.row.save_output(&mut self.saved, out) } else { Ok(()) }
    }

    /// The row, for those who show the graph.
    pub fn row(&self) -> &'static Row {
        self.row
    }
}

/// An unpacked value.
enum Known {
    Nothing,
    Scalar(Scalar),
    Tensor(Tensor),
}

impl Backward<Tensor> for RowBackward {
    fn name(&self) -> String {
        match self.row.backward_name {
            Some(name) => name.into(),
            None => format!("{}Backward0", camel(self.row.name)),
        }
    }

    fn backward(&self, grads: Grads<Tensor>, context: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let n = self.row.inputs.len();
        let Some(dy) = grads.into_iter().next().flatten() else { return Ok(smallvec::smallvec![None; n]) };
        let mut known: SmallVec<[Known; 5]> = (0..=n).map(|_| Known::Nothing).collect();
        if let Some(saves) = &self.saved {
            match saves.lock().as_ref() {
                Some(list) => {
                    for (i, saved) in list {
                        known[*i as usize] = match saved {
                            Saved::Scalar(s) => Known::Scalar(*s),
                            other => Known::Tensor(other.unpack(context)?),
                        };
                    }
                }
                None => return Err(Saved::Nothing.unpack(context).err().unwrap_or(Error::Interrupted)),
            }
        }
        let mut out: Grads<Tensor> = Grads::new();
        // In-place `Select` rows list their target first.
        let edges = &context.node.edges;
        let swapped = self.row.rule == Rule::Select && edges.len() == n && edges[0].is_some();
        for place in 0..n {
            let i = if swapped && place < 2 { 1 - place } else { place };
            let wanted = edges.get(place).is_some_and(Option::is_some) && context.wants(place);
            out.push(match &self.row.gradients[i] {
                Some(gradient) if wanted => {
                    let dx = self.gradient(gradient, &known, &dy, context.create_graph)?;
                    Some(self.fit(i, dx)?)
                }
                _ => None,
            });
        }
        Ok(out)
    }

    fn release(&self) {
        // Numbers alone stay: with them the backward can run again.
        if self.uses != 0
            && let Some(saves) = &self.saved
        {
            let saved = saves.lock().take();
            drop(saved);
        }
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// A value that a node keeps.
pub enum Kept {
    Number(Scalar),
    Tensor(Tensor),
}

/// Looking at what a node keeps, and replacing it, by PyTorch's names: `self`, `other`, `exponent`, `result`.
impl RowBackward {
    /// Whether a tensor or number of this name is kept.
    pub fn keeps(&self, name: &str) -> bool {
        match self.saved.as_ref().zip(self.place_of(name)) {
            // While a hook unpacks them nobody can look.
            Some((saves, place)) => match saves.0.try_lock() {
                Ok(list) => list.as_ref().is_none_or(|list| list.iter().any(|(i, _)| *i == place)),
                Err(_) => true,
            },
            None => self.row.scalars.iter().any(|(own, _)| *own == name),
        }
    }

    /// The value of a name, for which [`keeps`](RowBackward::keeps) is true.
    pub fn kept(&self, name: &str, context: &Context<Tensor>) -> Result<Kept> {
        if let Some(i) = self.row.scalars.iter().position(|(own, _)| *own == name) {
            return Ok(Kept::Number(self.scalars[i]));
        }
        self.with_saved(name, |saved| match saved {
            Saved::Scalar(s) => Ok(Kept::Number(*s)),
            other => other.unpack(context).map(Kept::Tensor),
        })
    }

    /// Gives a kept tensor to `hooks`, and keeps what they make of it.
    pub fn hook_kept(&self, name: &str, hooks: &dyn crate::saved::SavedHooks) -> Result<()> {
        // The hook runs outside of the lock: it may look at this node.
        let (tensor, edge, output) = self.with_saved(name, |saved| match saved {
            Saved::Input { held, .. } => Ok((held.tensor().clone(), held.tensor().edge(), None)),
            Saved::Output { array, counter, slot, .. } => {
                Ok((Tensor::from_array(array.clone()).with_counter(counter.clone()), None, Some(*slot)))
            }
            Saved::Hooked { .. } => bail!(
                Runtime,
                "Calling register_hooks on a saved tensor whose hooks have already been set. Hint: only one pair of hooks is allowed at a time."
            ),
            Saved::Scalar(_) | Saved::Nothing => bail!(
                Runtime,
                "Calling register_hooks on a saved tensor after it has been freed. Saved intermediate values of the graph are freed when \
                 you call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second \
                 time or if you need to access saved variables after calling backward."
            ),
        })?;
        let packed = hooks.pack(&tensor)?;
        self.with_saved(name, |saved| {
            *saved = Saved::Hooked { packed, edge, output };
            Ok(())
        })
    }

    fn place_of(&self, name: &str) -> Option<u8> {
        let own = if name == "self" { "input" } else { name };
        let place = if name == "result" { Some(self.row.inputs.len()) } else { self.row.inputs.iter().position(|input| *input == own) };
        place.map(|place| place as u8)
    }

    fn with_saved<R>(&self, name: &str, f: impl FnOnce(&mut Saved) -> Result<R>) -> Result<R> {
        let missing = || Error::Runtime(format!("{} keeps no {name}", self.name()));
        let (saves, place) = self.saved.as_ref().zip(self.place_of(name)).ok_or_else(missing)?;
        // A hook that unpacks a value of this node may ask for it again.
        let Ok(mut list) = saves.0.try_lock() else { bail!(Runtime, "what {} keeps is being unpacked", self.name()) };
        match list.as_mut() {
            Some(list) => f(&mut list.iter_mut().find(|(i, _)| *i == place).ok_or_else(missing)?.1),
            None => f(&mut Saved::Nothing),
        }
    }
}

impl RowBackward {
    fn gradient(&self, gradient: &Gradient, known: &[Known], dy: &Tensor, create_graph: bool) -> Result<Tensor> {
        let n = self.row.inputs.len();
        let dummy = Operand::Scalar(Scalar::Float(1.0));
        let mut operands: SmallVec<[Operand; 6]> = known
            .iter()
            .map(|k| match k {
                Known::Nothing => dummy,
                Known::Scalar(s) => Operand::Scalar(*s),
                Known::Tensor(t) => Operand::Tensor(t),
            })
            .collect();
        let probe = probe(gradient, n, &operands[..n], &self.scalars);
        match probe {
            Probe::Gradient => return Ok(dy.clone()),
            Probe::Constant(c) if !create_graph => {
                let array = crate::create::full_array(dy.shape(), Scalar::Float(c), dy.dtype(), dy.device())?;
                return Ok(Tensor::from_array(array));
            }
            _ => {}
        }
        if cfg!(feature = "complex") && create_graph && dy.dtype().is_complex() {
            // The product with the derivative's conjugate; the kernels see to it themselves.
            let dtype = dy.dtype();
            // Functions of negative numbers are complex ones here.
            let wide: SmallVec<[Option<Tensor>; 5]> = known
                .iter()
                .map(|k| match k {
                    Known::Tensor(t) if t.dtype().is_float() => crate::to_dtype(t, dtype).map(Some),
                    _ => Ok(None),
                })
                .collect::<Result<_>>()?;
            let conjugate = crate::complex::conj(dy)?;
            let mut operands: SmallVec<[Operand; 6]> =
                operands.iter().zip(&wide).map(|(operand, wide)| wide.as_ref().map_or(*operand, Operand::Tensor)).collect();
            operands.push(Operand::Tensor(&conjugate));
            return crate::complex::conj(&Recorder::run(gradient, &operands, &self.scalars, &conjugate)?);
        }
        operands.push(Operand::Tensor(dy));
        if create_graph {
            return Recorder::run(gradient, &operands, &self.scalars, dy);
        }
        let plan = Plan { compute: dy.dtype(), result: dy.dtype(), shape: dy.shape_owned(), device: dy.device() };
        let array = fresh(&plan, &[Operand::Tensor(dy)])?;
        run_kernel(&gradient.kernel, dy.dtype(), &operands, &self.scalars, &array)?;
        Ok(Tensor::from_array(array))
    }

    /// Sums and casts a gradient of the result's shape to that of input `i`.
    fn fit(&self, i: usize, dx: Tensor) -> Result<Tensor> {
        let Some(Some((shape, dtype))) = self.inputs.as_ref().map(|all| &all[i]) else { return Ok(dx) };
        let dx = if dx.shape() == shape.as_slice() { dx } else { crate::reduce::sum_to(&dx, shape)? };
        if dx.dtype() == *dtype { Ok(dx) } else { crate::to_dtype(&dx, *dtype) }
    }
}

/// `log_softmax` -> `LogSoftmax`.
pub fn camel(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let mut chars = word.chars();
            chars.next().map_or(String::new(), |c| c.to_uppercase().collect::<String>() + chars.as_str())
        })
        .collect()
}

// -------------------------------------------------------------------------------------------- reading: what is made use of

/// A reading of a formula that finds out what it uses, folding constants, so that `dy * alpha` with `alpha` 1 is `dy` itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Probe {
    Constant(f64),
    /// The result's gradient, unchanged.
    Gradient,
    /// Depends on these inputs (bits), possibly on the gradient.
    Uses(u8),
}

impl Probe {
    fn uses(self) -> u8 {
        match self {
            Probe::Uses(bits) => bits,
            _ => 0,
        }
    }

    fn join(self, other: Probe, fold: impl Fn(f64, f64) -> f64) -> Probe {
        match (self, other) {
            (Probe::Constant(a), Probe::Constant(b)) => Probe::Constant(fold(a, b)),
            _ => Probe::Uses(self.uses() | other.uses()),
        }
    }

    fn map(self, fold: impl Fn(f64) -> f64) -> Probe {
        match self {
            Probe::Constant(a) => Probe::Constant(fold(a)),
            _ => Probe::Uses(self.uses()),
        }
    }
}

impl std::ops::Neg for Probe {
    type Output = Self;
    fn neg(self) -> Self {
        self.map(|a| -a)
    }
}
impl std::ops::Add for Probe {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        self.join(o, |a, b| a + b)
    }
}
impl std::ops::Sub for Probe {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        self.join(o, |a, b| a - b)
    }
}
impl std::ops::Mul for Probe {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        match (self, o) {
            (Probe::Constant(1.0), x) | (x, Probe::Constant(1.0)) => x,
            _ => self.join(o, |a, b| a * b),
        }
    }
}
impl std::ops::Div for Probe {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        if o == Probe::Constant(1.0) { self } else { self.join(o, |a, b| a / b) }
    }
}
impl std::ops::Not for Probe {
    type Output = Self;
    fn not(self) -> Self {
        Probe::Uses(self.uses())
    }
}
impl std::ops::BitAnd for Probe {
    type Output = Self;
    fn bitand(self, o: Self) -> Self {
        Probe::Uses(self.uses() | o.uses())
    }
}
impl std::ops::BitOr for Probe {
    type Output = Self;
    fn bitor(self, o: Self) -> Self {
        Probe::Uses(self.uses() | o.uses())
    }
}

/// Implements the methods of the formula traits for a reading, one line per kind of method.
macro_rules! reading {
    ([$($generics:tt)*] $t:ty, $unary:ident, $binary:ident, $test:ident, $select:expr, $lit:expr) => {
        impl<$($generics)*> Number for $t {
            type Mask = Self;
            fn lit(self, c: f64) -> Self { ($lit)(self, c) }
            fn lt(self, o: Self) -> Self { $test!(self, o, Number, lt, LT) }
            fn le(self, o: Self) -> Self { $test!(self, o, Number, le, LE) }
            fn gt(self, o: Self) -> Self { $test!(self, o, Number, gt, GT) }
            fn ge(self, o: Self) -> Self { $test!(self, o, Number, ge, GE) }
            fn eq(self, o: Self) -> Self { $test!(self, o, Number, eq, EQ) }
            fn ne(self, o: Self) -> Self { $test!(self, o, Number, ne, NE) }
            fn select(mask: Self, if_true: Self, if_false: Self) -> Self { ($select)(mask, if_true, if_false) }
            fn abs(self) -> Self { $unary!(self, Number, abs, ABS) }
            fn sign(self) -> Self { $unary!(self, Number, sign, SIGN) }
            fn maximum(self, o: Self) -> Self { $binary!(self, o, Number, maximum, MAXIMUM) }
            fn minimum(self, o: Self) -> Self { $binary!(self, o, Number, minimum, MINIMUM) }
            fn floor_div(self, o: Self) -> Self { $binary!(self, o, Number, floor_div, FLOOR_DIVIDE) }
            fn trunc_div(self, o: Self) -> Self { $binary!(self, o, Number, trunc_div, TRUNC_DIVIDE) }
            fn remainder(self, o: Self) -> Self { $binary!(self, o, Number, remainder, REMAINDER) }
            fn fmod(self, o: Self) -> Self { $binary!(self, o, Number, fmod, FMOD) }
        }
        impl<$($generics)*> Value for $t {
            fn exp(self) -> Self { $unary!(self, Value, exp, EXP) }
            fn expm1(self) -> Self { $unary!(self, Value, expm1, EXPM1) }
            fn exp2(self) -> Self { $unary!(self, Value, exp2, EXP2) }
            fn ln(self) -> Self { $unary!(self, Value, ln, LOG) }
            fn log1p(self) -> Self { $unary!(self, Value, log1p, LOG1P) }
            fn log2(self) -> Self { $unary!(self, Value, log2, LOG2) }
            fn log10(self) -> Self { $unary!(self, Value, log10, LOG10) }
            fn sqrt(self) -> Self { $unary!(self, Value, sqrt, SQRT) }
            fn rsqrt(self) -> Self { $unary!(self, Value, rsqrt, RSQRT) }
            fn recip(self) -> Self { $unary!(self, Value, recip, RECIPROCAL) }
            fn sin(self) -> Self { $unary!(self, Value, sin, SIN) }
            fn cos(self) -> Self { $unary!(self, Value, cos, COS) }
            fn tan(self) -> Self { $unary!(self, Value, tan, TAN) }
            fn asin(self) -> Self { $unary!(self, Value, asin, ASIN) }
            fn acos(self) -> Self { $unary!(self, Value, acos, ACOS) }
            fn atan(self) -> Self { $unary!(self, Value, atan, ATAN) }
            fn sinh(self) -> Self { $unary!(self, Value, sinh, SINH) }
            fn cosh(self) -> Self { $unary!(self, Value, cosh, COSH) }
            fn tanh(self) -> Self { $unary!(self, Value, tanh, TANH) }
            fn asinh(self) -> Self { $unary!(self, Value, asinh, ASINH) }
            fn acosh(self) -> Self { $unary!(self, Value, acosh, ACOSH) }
            fn atanh(self) -> Self { $unary!(self, Value, atanh, ATANH) }
            fn sigmoid(self) -> Self { $unary!(self, Value, sigmoid, SIGMOID) }
            fn erf(self) -> Self { $unary!(self, Value, erf, ERF) }
            fn erfc(self) -> Self { $unary!(self, Value, erfc, ERFC) }
            fn erfinv(self) -> Self { $unary!(self, Value, erfinv, ERFINV) }
            fn lgamma(self) -> Self { $unary!(self, Value, lgamma, LGAMMA) }
            fn digamma(self) -> Self { $unary!(self, Value, digamma, DIGAMMA) }
            fn floor(self) -> Self { $unary!(self, Value, floor, FLOOR) }
            fn ceil(self) -> Self { $unary!(self, Value, ceil, CEIL) }
            fn round(self) -> Self { $unary!(self, Value, round, ROUND) }
            fn trunc(self) -> Self { $unary!(self, Value, trunc, TRUNC) }
            fn atan2(self, o: Self) -> Self { $binary!(self, o, Value, atan2, ATAN2) }
            fn pow(self, o: Self) -> Self { $binary!(self, o, Value, pow, POW) }
            fn copysign(self, o: Self) -> Self { $binary!(self, o, Value, copysign, COPYSIGN) }
        }
    };
}

macro_rules! probe_unary {
    ($x:expr, $trait:ident, $f:ident, $row:ident) => {
        $x.map(|v| <f64 as $trait>::$f(v))
    };
}
macro_rules! probe_binary {
    ($x:expr, $o:expr, $trait:ident, $f:ident, $row:ident) => {
        $x.join($o, |a, b| <f64 as $trait>::$f(a, b))
    };
}
macro_rules! probe_test {
    ($x:expr, $o:expr, $trait:ident, $f:ident, $row:ident) => {
        Probe::Uses($x.uses() | $o.uses())
    };
}
reading!(
    [] Probe, probe_unary, probe_binary, probe_test,
    |mask: Probe, a: Probe, b: Probe| Probe::Uses(mask.uses() | a.uses() | b.uses()),
    |_, c| Probe::Constant(c)
);

// ----------------------------------------------------------------------------------------------- reading: recorded ops

/// Runs a formula as tensor ops, so that its result has a history.
pub struct Recorder {
    values: RefCell<Vec<Known>>,
    error: Cell<Option<Error>>,
}

/// A handle into a [`Recorder`].
#[derive(Clone, Copy)]
pub struct Recorded<'a> {
    recorder: &'a Recorder,
    index: u32,
}

impl Recorder {
    fn run(gradient: &Gradient, operands: &[Operand], scalars: &[Scalar], like: &Tensor) -> Result<Tensor> {
        let recorder = Recorder { values: RefCell::new(Vec::new()), error: Cell::new(None) };
        let x: SmallVec<[Recorded; 6]> = operands
            .iter()
            .map(|o| {
                recorder.push(match o {
                    Operand::Tensor(t) => Known::Tensor((*t).clone()),
                    Operand::Scalar(s) => Known::Scalar(*s),
                })
            })
            .collect();
        let s: SmallVec<[Recorded; 4]> = scalars.iter().map(|&s| recorder.push(Known::Scalar(s))).collect();
        let out = (gradient.recorded)(&x, &s).index as usize;
        if let Some(error) = recorder.error.take() {
            return Err(error);
        }
        let values = recorder.values.borrow();
        match &values[out] {
            Known::Tensor(t) if t.shape() == like.shape() => Ok(t.clone()),
            Known::Tensor(t) => crate::views::expand_to(t, like.shape()),
            Known::Scalar(s) => crate::create::full_array(like.shape(), *s, like.dtype(), like.device()).map(Tensor::from_array),
            Known::Nothing => bail!(Runtime, "a gradient formula used a value that was not saved"),
        }
    }

    fn push(&self, value: Known) -> Recorded<'_> {
        let mut values = self.values.borrow_mut();
        values.push(value);
        Recorded { recorder: self, index: values.len() as u32 - 1 }
    }

    /// As [`Recorder::call`] of a comparison: an order is that of real parts.
    fn compare(&self, row: &'static Row, inputs: [Recorded; 2]) -> Recorded<'_> {
        let ordered = !std::ptr::eq(row, &crate::rows::EQ) && !std::ptr::eq(row, &crate::rows::NE);
        let real = |input: &Recorded| -> Result<Option<Tensor>> {
            match &self.values.borrow()[input.index as usize] {
                Known::Tensor(t) if ordered && t.dtype().is_complex() => crate::complex::real(t).map(Some),
                _ => Ok(None),
            }
        };
        let inputs = inputs.map(|input| match real(&input) {
            Ok(Some(t)) => self.push(Known::Tensor(t)).index,
            Ok(None) => input.index,
            Err(error) => {
                self.error.set(Some(error));
                input.index
            }
        });
        self.call(row, &inputs.map(|index| Recorded { recorder: self, index }))
    }

    fn call(&self, row: &'static Row, inputs: &[Recorded]) -> Recorded<'_> {
        let result = {
            let values = self.values.borrow();
            let operands: SmallVec<[Operand; 3]> = inputs
                .iter()
                .map(|i| match &values[i.index as usize] {
                    Known::Tensor(t) => Operand::Tensor(t),
                    Known::Scalar(s) => Operand::Scalar(*s),
                    Known::Nothing => Operand::Scalar(Scalar::Float(f64::NAN)),
                })
                .collect();
            let scalars: SmallVec<[Scalar; 1]> = row.scalars.iter().map(|s| Scalar::Float(s.1.unwrap_or(1.0))).collect();
            call(row, &operands, &scalars)
        };
        self.push(match result {
            Ok(t) => Known::Tensor(t),
            Err(error) => {
                self.error.set(Some(error));
                Known::Scalar(Scalar::Float(f64::NAN))
            }
        })
    }
}

impl<'a> Recorded<'a> {
    fn unary(self, row: &'static Row, fold: impl Fn(f64) -> f64) -> Self {
        let number = match self.recorder.values.borrow()[self.index as usize] {
            Known::Scalar(s) => Some(s.to_f64()),
            _ => None,
        };
        match number {
            Some(x) => self.recorder.push(Known::Scalar(Scalar::Float(fold(x)))),
            None => self.recorder.call(row, &[self]),
        }
    }

    fn binary(self, other: Self, row: &'static Row, fold: impl Fn(f64, f64) -> f64) -> Self {
        let both = {
            let values = self.recorder.values.borrow();
            match (&values[self.index as usize], &values[other.index as usize]) {
                (Known::Scalar(a), Known::Scalar(b)) => Some((a.to_f64(), b.to_f64())),
                _ => None,
            }
        };
        match both {
            Some((a, b)) => self.recorder.push(Known::Scalar(Scalar::Float(fold(a, b)))),
            None => self.recorder.call(row, &[self, other]),
        }
    }
}

macro_rules! recorded_unary {
    ($x:expr, $trait:ident, $f:ident, $row:ident) => {
        $x.unary(&crate::rows::$row, |v| <f64 as $trait>::$f(v))
    };
}
macro_rules! recorded_binary {
    ($x:expr, $o:expr, $trait:ident, $f:ident, $row:ident) => {
        $x.binary($o, &crate::rows::$row, |a, b| <f64 as $trait>::$f(a, b))
    };
}
macro_rules! recorded_test {
    ($x:expr, $o:expr, $trait:ident, $f:ident, $row:ident) => {
        $x.recorder.compare(&crate::rows::$row, [$x, $o])
    };
}
reading!(
    ['a] Recorded<'a>, recorded_unary, recorded_binary, recorded_test,
    |mask: Recorded<'a>, a, b| mask.recorder.call(&crate::rows::WHERE, &[mask, a, b]),
    |this: Recorded<'a>, c| this.recorder.push(Known::Scalar(Scalar::Float(c)))
);

macro_rules! recorded_operators {
    ($($trait:ident $method:ident $row:ident $op:tt),*) => { $(
        impl std::ops::$trait for Recorded<'_> {
            type Output = Self;
            fn $method(self, other: Self) -> Self { self.binary(other, &crate::rows::$row, |a, b| a $op b) }
        }
    )* };
}
recorded_operators!(Add add ADD +, Sub sub SUB -, Mul mul MUL *, Div div DIV /);

impl std::ops::Neg for Recorded<'_> {
    type Output = Self;
    fn neg(self) -> Self {
        self.unary(&crate::rows::NEG, |a| -a)
    }
}
impl std::ops::Not for Recorded<'_> {
    type Output = Self;
    fn not(self) -> Self {
        self.recorder.call(&crate::rows::LOGICAL_NOT, &[self])
    }
}
impl std::ops::BitAnd for Recorded<'_> {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        self.recorder.call(&crate::rows::LOGICAL_AND, &[self, other])
    }
}
impl std::ops::BitOr for Recorded<'_> {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.recorder.call(&crate::rows::LOGICAL_OR, &[self, other])
    }
}

// --------------------------------------------------------------------------------------------------------- the macro

/// Makes the rows of the table. Grammar of a row:
///
/// `/// doc  CONST name(inputs; scalar = default, …) rule complex { formula } grad (dx of input 0) none …; range [a..b, …];`
///
/// `complex` where the formula and its gradients hold for complex numbers too (an analytic function); a row is
/// optionally followed by `as "Name"` (grad_fn) and `check function`.
#[macro_export]
macro_rules! rows {
    ($y:ident $dy:ident; $(
        $(#[doc = $doc:literal])*
        $const:ident $name:literal ($($in:ident),*; $($s:ident = $default:expr),*) $rule:ident $($complex:ident)? $f:block
        $(grad [$($g:tt)+])? ;
        range [$($range:expr),*]
        $(as $backward:literal)?
        $(check $check:path)?
        ;
    )*) => {
        $(
            $(#[doc = $doc])*
            pub static $const: $crate::row::Row = $crate::row::Row {
                name: $name,
                doc: concat!($($doc, "\n"),*),
                rule: $crate::rows!(@rule $rule),
                inputs: &[$(stringify!($in)),*],
                scalars: &[$((stringify!($s), $default)),*],
                kernel: $crate::rows!(@kernel $rule [$($complex)?] [$($in)*] [$($s)*] $f),
                gradients: $crate::rows!(@gradients [$($complex)?] [$($in)*] [$($s)*] $y $dy $(, $($g)+)?),
                backward_name: $crate::rows!(@optional $($backward)?),
                uses: $crate::row::UsesCell::new(),
                ranges: &[$($range),*],
                check: $crate::rows!(@optional $($check)?),
            };
        )*
        /// Every row.
        pub static ALL: &[&$crate::row::Row] = &[$(&$const),*];
    };
    (@optional) => { None };
    (@optional $x:expr) => { Some($x) };
    (@rule number) => { $crate::row::Rule::Number };
    (@rule float) => { $crate::row::Rule::Float };
    (@rule test) => { $crate::row::Rule::Test };
    (@rule float_test) => { $crate::row::Rule::FloatTest };
    (@rule bits) => { $crate::row::Rule::Bits };
    (@rule select) => { $crate::row::Rule::Select };
    (@kernel number $($rest:tt)*) => { $crate::rows!(@make number complex_number NumberFormula Number V $($rest)*) };
    (@kernel select $($rest:tt)*) => { $crate::rows!(@make number complex_number NumberFormula Number V $($rest)*) };
    (@kernel float $($rest:tt)*) => { $crate::rows!(@make float complex_float FloatFormula Value V $($rest)*) };
    (@kernel bits $($rest:tt)*) => { $crate::rows!(@make bits none BitsFormula Bits V $($rest)*) };
    (@kernel test $($rest:tt)*) => { $crate::rows!(@make_test test complex_test NumberTest Number $($rest)*) };
    (@kernel float_test $($rest:tt)*) => { $crate::rows!(@make_test float_test complex_float_test FloatTest Value $($rest)*) };
    (@make $method:ident $with:ident $trait:ident $bound:ident $v:ident $complex:tt [$($in:ident)*] [$($s:ident)*] $f:block) => {{
        const N: usize = { const NAMES: &[&str] = &[$(stringify!($in)),*]; NAMES.len() };
        const S: usize = { const NAMES: &[&str] = &[$(stringify!($s)),*]; NAMES.len() };
        #[derive(Clone, Copy)]
        struct Formula;
        impl rustnn_kernels::value::$trait<N, S> for Formula {
            #[inline(always)]
            #[allow(unused_variables)]
            fn eval<V: rustnn_kernels::value::$bound>([$($in),*]: [V; N], [$($s),*]: [V; S]) -> V { $f }
        }
        $crate::rows!(@complex $complex $with rustnn_kernels::elementwise::Kernel::$method::<Formula, N, S>(), Formula, N, S)
    }};
    (@make_test $method:ident $with:ident $trait:ident $bound:ident $complex:tt [$($in:ident)*] [$($s:ident)*] $f:block) => {{
        const N: usize = { const NAMES: &[&str] = &[$(stringify!($in)),*]; NAMES.len() };
        const S: usize = { const NAMES: &[&str] = &[$(stringify!($s)),*]; NAMES.len() };
        #[derive(Clone, Copy)]
        struct Formula;
        impl rustnn_kernels::value::$trait<N, S> for Formula {
            #[inline(always)]
            #[allow(unused_variables)]
            fn eval<V: rustnn_kernels::value::$bound>([$($in),*]: [V; N], [$($s),*]: [V; S]) -> V::Mask { $f }
        }
        $crate::rows!(@complex $complex $with rustnn_kernels::elementwise::Kernel::$method::<Formula, N, S>(), Formula, N, S)
    }};
    (@complex [] $with:ident $kernel:expr, $f:ty, $n:expr, $s:expr) => { $kernel };
    (@complex [complex] $with:ident $kernel:expr, $f:ty, $n:expr, $s:expr) => { $kernel.$with::<$f, { $n }, { $s }>() };
    (@gradients $complex:tt [$($in:ident)*] $s:tt $y:ident $dy:ident) => { &[$($crate::rows!(@none $in)),*] };
    (@gradients $complex:tt $in:tt $s:tt $y:ident $dy:ident, $($g:tt)+) => { &[$($crate::rows!(@gradient $complex $in $s $y $dy $g)),+] };
    (@none $in:ident) => { None };
    (@gradient $complex:tt $in:tt $s:tt $y:ident $dy:ident none) => { None };
    (@gradient $complex:tt [$($in:ident)*] [$($s:ident)*] $y:ident $dy:ident ($f:expr)) => {{
        const N: usize = { const NAMES: &[&str] = &[$(stringify!($in)),*]; NAMES.len() + 2 };
        const S: usize = { const NAMES: &[&str] = &[$(stringify!($s)),*]; NAMES.len() };
        #[derive(Clone, Copy)]
        struct Formula;
        impl rustnn_kernels::value::FloatFormula<N, S> for Formula {
            #[inline(always)]
            #[allow(unused_variables)]
            fn eval<V: rustnn_kernels::value::Value>([$($in,)* $y, $dy]: [V; N], [$($s),*]: [V; S]) -> V { $f }
        }
        fn read<V: rustnn_kernels::value::Value>(x: &[V], s: &[V]) -> V {
            let x: [V; N] = x.try_into().unwrap_or_else(|_| unreachable!("as many inputs as the row has"));
            let s: [V; S] = s.try_into().unwrap_or_else(|_| unreachable!("as many scalars as the row has"));
            <Formula as rustnn_kernels::value::FloatFormula<N, S>>::eval(x, s)
        }
        fn recorded<'a>(x: &[$crate::row::Recorded<'a>], s: &[$crate::row::Recorded<'a>]) -> $crate::row::Recorded<'a> {
            read(x, s)
        }
        Some($crate::row::Gradient {
            kernel: $crate::rows!(@complex $complex complex_gradient rustnn_kernels::elementwise::Kernel::float::<Formula, N, S>(), Formula, N, S),
            recorded,
            probe: read::<$crate::row::Probe>,
        })
    }};
}
