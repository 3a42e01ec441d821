//! Generators of random numbers: a seed and a position in its stream.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, OnceLock};

/// A position in the stream of a seed, shared by clones. Numbers come from Philox, so a value depends on the seed, the
/// position at the call and the element's place alone.
#[derive(Clone, Debug)]
pub struct Generator(Arc<Mutex<(u64, u64)>>);

impl Generator {
    pub fn new(seed: u64) -> Generator {
        Generator(Arc::new(Mutex::new((seed, 0))))
    }

    /// The generator that ops use when none is given, unless the thread has one [of its own](with_generator).
    pub fn global() -> &'static Generator {
        static GLOBAL: OnceLock<Generator> = OnceLock::new();
        GLOBAL.get_or_init(|| Generator::new(67_280_421_310_721))
    }

    /// The one that ops called now on this thread use.
    pub fn current() -> Generator {
        CURRENT.with_borrow(|current| current.as_ref().unwrap_or(Generator::global()).clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (u64, u64)> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub fn seed(&self) -> u64 {
        self.lock().0
    }

    /// Starts the stream of `seed`.
    pub fn set_seed(&self, seed: u64) {
        *self.lock() = (seed, 0);
    }

    /// Seed and position.
    pub fn state(&self) -> (u64, u64) {
        *self.lock()
    }

    pub fn set_state(&self, seed: u64, position: u64) {
        *self.lock() = (seed, position);
    }

    /// The seed and the position of the next `count` counter steps, which are taken.
    pub fn take(&self, count: u64) -> (u64, u64) {
        let mut state = self.lock();
        let at = *state;
        state.1 = state.1.wrapping_add(count);
        at
    }

    pub fn same(&self, other: &Generator) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Generator>> = const { RefCell::new(None) };
}

/// Calls `f`; ops that it calls on this thread draw from `generator` where none is given.
pub fn with_generator<R>(generator: &Generator, f: impl FnOnce() -> R) -> R {
    /// Puts the former one back, also when `f` panics.
    struct Restore(Option<Generator>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _restore = Restore(CURRENT.replace(Some(generator.clone())));
    f()
}

use crate::copy::{contiguous_array, overwrite};
use crate::create::{asked_dtype, created, ranged};
use crate::device::layers::{self, Law};
use crate::names::type_meta;
use crate::registry::{Args, Output, into_out};
use crate::row::{Scalar, default_dtype};
use crate::tape::record;
use crate::tensor::{Tensor, needs_grad};
use rustnn_autograd::{Backward, Context, Grads};
use rustnn_kernels::rng::Stream;
use rustnn_tensor::{Array, DType, Device, Error, Result, ensure};
use smallvec::smallvec;

/// The stream for a fill of `len` values, which the generator then leaves behind.
fn stream(generator: Option<&Generator>, len: usize) -> Stream {
    let count = layers::blocks(len);
    let (seed, offset) = match generator {
        Some(generator) => generator.take(count),
        None => CURRENT.with_borrow(|current| current.as_ref().unwrap_or(Generator::global()).take(count)),
    };
    Stream { seed, offset }
}

/// Fills an array; strided ones through a dense copy, so that the numbers are the same.
fn fill(law: Law, generator: Option<&Generator>, out: &Array) -> Result<()> {
    if out.is_meta() {
        // Nothing is drawn, so the generator stays where it is.
        return Ok(());
    }
    if out.dtype().is_complex() {
        // Each part has half of the variance; the mean is the real part's.
        let law = match law {
            Law::Normal { std, .. } => Law::Normal { mean: 0.0, std: std * std::f64::consts::FRAC_1_SQRT_2 },
            other => other,
        };
        let dense = Array::empty(out.shape(), out.dtype(), out.device())?;
        fill(law, generator, &crate::complex::real_array(&dense)?)?;
        return crate::copy::copy_array(&dense, out);
    }
    if crate::unsigned::twin(out.dtype()).is_some() {
        // The law's numbers all fit, and their low bits are theirs.
        let wide = Array::empty(out.shape(), DType::I64, out.device())?;
        fill(law, generator, &wide)?;
        return crate::copy::copy_array(&wide, out);
    }
    let stream = stream(generator, out.numel());
    if out.is_contiguous() {
        return layers::fill_random(law, stream, out);
    }
    let dense = Array::empty(out.shape(), out.dtype(), out.device())?;
    layers::fill_random(law, stream, &dense)?;
    crate::copy::copy_array(&dense, out)
}

fn sample(law: Law, generator: Option<&Generator>, shape: &[usize], dtype: DType, device: Device) -> Result<Tensor> {
    let out = Array::empty(shape, dtype, device)?;
    fill(law, generator, &out)?;
    Ok(Tensor::from_array(out))
}

/// Uniform in [0, 1).
pub fn rand(shape: &[usize], dtype: DType) -> Result<Tensor> {
    floating(dtype, "rand")?;
    sample(UNIT, None, shape, dtype, crate::default_device())
}

/// Normal with mean 0 and variance 1.
pub fn randn(shape: &[usize], dtype: DType) -> Result<Tensor> {
    floating(dtype, "randn")?;
    sample(STANDARD, None, shape, dtype, crate::default_device())
}

/// Integers in [low, high), int64.
pub fn integers_between(low: i64, high: i64, shape: &[usize]) -> Result<Tensor> {
    sample(integers(low, high, DType::I64)?, None, shape, DType::I64, crate::default_device())
}

/// A random order of the integers below `n`.
pub fn permutation(n: usize, generator: Option<&Generator>) -> Result<Tensor> {
    let out = Array::empty(&[n], DType::I64, crate::default_device())?;
    layers::randperm(stream(generator, n), &out)?;
    Ok(Tensor::from_array(out))
}

/// Overwrites `x` with values uniform in [low, high).
pub fn uniform_(x: &Tensor, low: f64, high: f64, generator: Option<&Generator>) -> Result<()> {
    let greatest = crate::arithmetic::greatest(x.dtype());
    for (name, bound) in [("from", low), ("to", high)] {
        ensure!(bound.abs() <= greatest, Runtime, "{name} is out of bounds for {}", type_meta(x.dtype()));
    }
    ensure!(low <= high, Runtime, "uniform_ expects to return a [from, to) range, but found from={low} > to={high}");
    ensure!(
        high - low <= greatest,
        Runtime,
        "uniform_ expects to-from <= std::numeric_limits<{}>::max(), but found to={high:?} and from={low:?} which result in to-from to exceed the limit",
        x.dtype().scalar_name()
    );
    write(x, "UniformBackward0", Law::Uniform { low, high }, generator)
}

/// Overwrites `x` with normal values.
pub fn normal_(x: &Tensor, mean: f64, std: f64, generator: Option<&Generator>) -> Result<()> {
    ensure!(std >= 0.0, Runtime, "normal expects std >= 0.0, but found std {std}");
    write(x, "NormalBackward0", Law::Normal { mean, std }, generator)
}

fn write(x: &Tensor, name: &'static str, law: Law, generator: Option<&Generator>) -> Result<()> {
    match law {
        Law::Integers { .. } | Law::Bernoulli { .. } => {}
        Law::Normal { mean, .. } => {
            drawable(x.dtype(), name)?;
            if x.dtype().is_complex() && mean != 0.0 {
                return overwrite(x, name, |array| {
                    fill(law, generator, array)?;
                    let shifted =
                        crate::row::call(&crate::rows::ADD, &[(&Tensor::from_array(array.clone())).into(), mean.into()], &[1i64.into()])?;
                    crate::copy::copy_array(shifted.array(), array)
                });
            }
        }
        Law::Uniform { .. } => drawable(x.dtype(), name)?,
        _ => floating(x.dtype(), name)?,
    }
    overwrite(x, name, |array| fill(law, generator, array))
}

const UNIT: Law = Law::Uniform { low: 0.0, high: 1.0 };
const STANDARD: Law = Law::Normal { mean: 0.0, std: 1.0 };

/// The law of integers in [low, high), which `dtype` must hold.
fn integers(low: i64, high: i64, dtype: DType) -> Result<Law> {
    ensure!(low < high, Runtime, "random_ expects 'from' to be less than 'to', but got from={low} >= to={high}");
    let (least, greatest) = match dtype {
        DType::Bool => (0, 1),
        DType::U8 => (0, u8::MAX as i64),
        DType::I8 => (i8::MIN as i64, i8::MAX as i64),
        DType::I16 => (i16::MIN as i64, i16::MAX as i64),
        DType::I32 => (i32::MIN as i64, i32::MAX as i64),
        DType::U16 => (0, u16::MAX as i64),
        DType::U32 => (0, u32::MAX as i64),
        DType::U64 => (0, i64::MAX),
        DType::F16 => (-65504, 65504),
        _ => (i64::MIN, i64::MAX),
    };
    ensure!((least..=greatest).contains(&low), Runtime, "from is out of bounds for {}", type_meta(dtype));
    ensure!((least..=greatest).contains(&(high - 1)), Runtime, "to - 1 is out of bounds for {}", type_meta(dtype));
    Ok(Law::Integers { low, span: (high as i128 - low as i128) as u64 })
}

/// One more than the greatest integer that `random_` draws where it is given none: all up to it are numbers of the dtype.
fn above_all(dtype: DType) -> i64 {
    match dtype {
        DType::F32 => 1 << 24,
        DType::F64 => 1 << 53,
        DType::F16 => 1 << 11,
        DType::BF16 => 1 << 8,
        DType::Bool => 2,
        DType::I8 => 1 << 7,
        DType::U8 => 1 << 8,
        DType::I16 => 1 << 15,
        DType::I32 => 1 << 31,
        _ => i64::MAX,
    }
}

/// A fresh random tensor in a memory format, by default in the layout of `x`: the order in which it was drawn does not matter.
fn laid_out_like(x: &Tensor, drawn: &Tensor, format: Option<&str>) -> Result<Tensor> {
    let array = match crate::row::strides_like(x.array()) {
        Some(strides) => drawn.array().with_geometry(x.shape().into(), strides, 0),
        None => drawn.array().clone(),
    };
    crate::copy::formatted(array, format).map(Tensor::from_array)
}

/// A permutation of `n` numbers needs a dtype that holds `n - 1`.
fn check_holds_all_below(n: usize, dtype: DType) -> Result<()> {
    let exact = match dtype {
        DType::F16 => (1 << 11, "2049"),
        DType::F32 => (1 << 24, "2^24+1"),
        DType::F64 => (1 << 53, "2^53+1"),
        DType::Bool => return Err(Error::not_implemented("randperm", dtype)),
        _ => {
            let bits = 8 * dtype.size_bytes() as u32 - u32::from(dtype.is_signed());
            let fits = !dtype.is_integral() || n as u128 <= 1 << bits;
            ensure!(fits, Runtime, "value cannot be converted to type {} without overflow", crate::names::number_type(dtype));
            return Ok(());
        }
    };
    ensure!(n as u64 <= exact.0 + 1, Runtime, "n cannot be greater than {} for {} type.", exact.1, dtype.scalar_name());
    Ok(())
}

fn floating(dtype: DType, op: &str) -> Result<()> {
    if dtype.is_float() { Ok(()) } else { Err(rustnn_tensor::Error::not_implemented(op, dtype)) }
}

/// As [`floating`], complex dtypes too.
fn drawable(dtype: DType, op: &str) -> Result<()> {
    if matches!(dtype, DType::C64 | DType::C128) { Ok(()) } else { floating(dtype, op) }
}

fn drawn(a: &Args, law: Law, op: &str) -> Result<Output> {
    created(a, 2, |a| {
        let dtype = asked_dtype(a, 3)?.unwrap_or_else(default_dtype);
        drawable(dtype, op)?;
        let shape = crate::create::sizes(a.ints(0)?)?;
        let t = sample(law, a.generator(1)?, &shape, dtype, a.opt_device(5)?.unwrap_or_else(crate::default_device))?;
        ranged(t, a.bool(7)?)
    })
}

/// Integers in [low, high), shaped like the input; the arguments behind the bounds begin at `at`.
fn integers_like(a: &Args, low: i64, high: i64, at: usize) -> Result<Tensor> {
    let x = a.tensor(0)?;
    let dtype = a.opt_dtype(at)?.unwrap_or(x.dtype());
    let drawn = sample(integers(low, high, dtype)?, None, x.shape(), dtype, a.opt_device(at + 2)?.unwrap_or(x.device()))?;
    let t = laid_out_like(x, &drawn, a.opt_str(at + 5)?)?;
    ranged(t, a.bool(at + 4)?)
}

fn drawn_like(a: &Args, law: Law, op: &str) -> Result<Tensor> {
    let x = a.tensor(0)?;
    let dtype = a.opt_dtype(1)?.unwrap_or(x.dtype());
    drawable(dtype, op)?;
    let drawn = sample(law, a.generator(7)?, x.shape(), dtype, a.opt_device(3)?.unwrap_or(x.device()))?;
    let t = laid_out_like(x, &drawn, a.opt_str(6)?)?;
    ranged(t, a.bool(5)?)
}

fn randint(a: &Args, low: i64, high: i64, at: usize) -> Result<Output> {
    created(a, at + 2, |a| {
        ensure!(low < high, Runtime, "random_ expects 'from' to be less than 'to', but got from={low} >= to={high}");
        let dtype = asked_dtype(a, at + 3)?.unwrap_or(DType::I64);
        ensure!(!dtype.is_complex(), Runtime, "check_random_bounds handles only integral, floating-point and boolean types");
        let shape = crate::create::sizes(a.ints(at)?)?;
        let t = sample(
            integers(low, high, dtype)?,
            a.generator(at + 1)?,
            &shape,
            dtype,
            a.opt_device(at + 5)?.unwrap_or_else(crate::default_device),
        )?;
        ranged(t, a.bool(at + 7)?)
    })
}

/// `normal(mean, std)` element by element.
fn normal_each(mean: crate::row::Operand, std: crate::row::Operand, generator: Option<&Generator>) -> Result<Tensor> {
    use crate::row::{Operand, call};
    let negative = match std {
        Operand::Scalar(s) => s.to_f64() < 0.0,
        // Nothing to look at, or nothing that is worth waiting for: there NaN come out.
        Operand::Tensor(t) if !t.array().is_host() => false,
        Operand::Tensor(t) => {
            let all = call(&crate::rows::GE, &[(&t.detach()).into(), Scalar::Int(0).into()], &[])?;
            crate::reduce::any_zero(all.array())?
        }
    };
    ensure!(!negative, Runtime, "normal expects all elements of std >= 0.0");
    let shapes: Vec<&Tensor> = [mean, std].iter().filter_map(|o| o.tensor()).collect();
    let mut shape: rustnn_tensor::Shape = smallvec![];
    let mut dtype = default_dtype();
    let device = shapes.first().map_or(Device::Cpu, |t| t.device());
    for t in shapes {
        shape = rustnn_tensor::shape::broadcast(&shape, t.shape())?;
        dtype = t.dtype();
    }
    let out = crate::mode::no_grad(|| {
        let z = sample(STANDARD, generator, &shape, dtype, device)?;
        let scaled = call(&crate::rows::MUL, &[Operand::Tensor(&z), std], &[])?;
        call(&crate::rows::ADD, &[Operand::Tensor(&scaled), mean], &[Scalar::Int(1)])
    })?;
    match (mean.tensor(), std.tensor()) {
        (Some(mean), Some(std)) => flat(out.array(), &[mean, std], "NormalBackward3"),
        (None, Some(std)) => flat(out.array(), &[std], "NormalBackward2"),
        (Some(mean), None) => flat(out.array(), &[mean], "NormalBackward1"),
        (None, None) => Ok(out),
    }
}

/// Numbers drawn by parameters, which they do not follow: the parameters' gradients are zeros.
fn flat(out: &Array, parameters: &[&Tensor], name: &'static str) -> Result<Tensor> {
    crate::formula::attach(out.clone(), parameters, || {
        let shapes: Vec<_> = parameters.iter().map(|t| t.shape_owned()).collect();
        Ok(crate::formula::Formula::new(name, Vec::new(), move |dy, _, context| {
            (0..shapes.len()).map(|i| crate::formula::if_wanted(context, i, || crate::formula::zeros(dy, &shapes[i]))).collect()
        }))
    })
}

struct DropoutBackward {
    stream: Stream,
    p: f64,
}

impl Backward<Tensor> for DropoutBackward {
    fn name(&self) -> String {
        "NativeDropoutBackward0".into()
    }

    fn backward(&self, grads: Grads<Tensor>, _: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(dy) = grads.into_iter().next().flatten() else { return Ok(smallvec![None]) };
        // The same stream keeps the same elements: no mask is stored.
        Ok(smallvec![Some(masked(&dy, self.stream, self.p)?)])
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

fn masked(x: &Tensor, stream: Stream, p: f64) -> Result<Tensor> {
    let out = Array::empty(x.shape(), x.dtype(), x.device())?;
    layers::dropout(&contiguous_array(x.array())?, stream, p, &out)?;
    let out = crate::copy::in_order_of(out, x.array())?;
    if !needs_grad(&[x]) {
        return Ok(Tensor::from_array(out));
    }
    Ok(record(out, &[x], DropoutBackward { stream, p }))
}

fn check_probability(p: f64) -> Result<()> {
    ensure!((0.0..=1.0).contains(&p), Value, "dropout probability has to be between 0 and 1, but got {p}");
    Ok(())
}

/// Zeros elements with probability `p`, the others divided by `1 - p`.
pub fn dropout(x: &Tensor, p: f64, training: bool, in_place: bool) -> Result<Tensor> {
    check_probability(p)?;
    if !training || p == 0.0 {
        return Ok(x.clone());
    }
    floating(x.dtype(), "dropout")?;
    if in_place {
        let ones = crate::create::ones_like(x)?;
        let mask = crate::mode::no_grad(|| masked(&ones, stream(None, x.numel()), p))?;
        crate::row::call_inplace(&crate::rows::MUL, x, &[(&mask).into()], &[])?;
        return Ok(x.clone());
    }
    masked(x, stream(None, x.numel()), p)
}

/// Zeros whole channels of (N, C, …).
pub fn feature_dropout(x: &Tensor, p: f64, training: bool, in_place: bool) -> Result<Tensor> {
    check_probability(p)?;
    if !training || p == 0.0 || x.numel() == 0 {
        return Ok(x.clone());
    }
    ensure!(x.rank() >= 2, Runtime, "Feature dropout requires at least 2 dimensions in the input");
    let shape: rustnn_tensor::Shape = (0..x.rank()).map(|d| if d < 2 { x.shape()[d] } else { 1 }).collect();
    let ones = Tensor::from_array(crate::create::full_array(&shape, Scalar::Int(1), x.dtype(), x.device())?);
    let mask = crate::mode::no_grad(|| masked(&ones, stream(None, ones.numel()), p))?;
    if in_place {
        crate::row::call_inplace(&crate::rows::MUL, x, &[(&mask).into()], &[])?;
        return Ok(x.clone());
    }
    crate::mul(x, &mask)
}

pub fn alpha_dropout(x: &Tensor, p: f64, training: bool, features: bool) -> Result<Tensor> {
    use crate::row::call;
    check_probability(p)?;
    if !training || p == 0.0 || x.numel() == 0 {
        return Ok(x.clone());
    }
    // Dropped elements take SELU's lower limit; the rest is scaled so that mean and variance stay. arXiv:1706.02515.
    const LIMIT: f64 = 1.758_099_340_847_376_6;
    let shape: rustnn_tensor::Shape = (0..x.rank()).map(|d| if !features || d < 2 { x.shape()[d] } else { 1 }).collect();
    let kept = sample(Law::Bernoulli { p: 1.0 - p }, None, &shape, x.dtype(), x.device())?;
    let a = 1.0 / ((LIMIT * LIMIT * p + 1.0) * (1.0 - p)).sqrt();
    let b = call(
        &crate::rows::MUL,
        &[(&call(&crate::rows::ADD, &[(&kept).into(), (-1.0).into()], &[Scalar::Int(1)])?).into(), (LIMIT * a).into()],
        &[],
    )?;
    let b = call(&crate::rows::ADD, &[(&b).into(), (LIMIT * a * p).into()], &[Scalar::Int(1)])?;
    crate::add(&crate::mul(x, &crate::mul_scalar(&kept, a)?)?, &b)
}

/// Probabilities outside of [0, 1] (or NaN) are refused.
fn check_probabilities(p: &Array) -> Result<()> {
    crate::reduce::refuse_outside(p, 0.0, 1.0, Error::Runtime, "Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
}

fn multinomial(weights: &Tensor, samples: i64, replacement: bool, generator: Option<&Generator>) -> Result<Tensor> {
    ensure!(weights.rank() == 1 || weights.rank() == 2, Runtime, "prob_dist must be 1 or 2 dim");
    ensure!(
        weights.dtype().is_float(),
        Runtime,
        "multinomial only supports floating-point dtypes for prob_dist, got: {}",
        weights.dtype().scalar_name()
    );
    ensure!(samples > 0, Runtime, "cannot sample n_sample <= 0 samples");
    let categories = weights.shape()[weights.rank() - 1];
    ensure!(
        replacement || samples as usize <= categories,
        Runtime,
        "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
    );
    let rows = if weights.rank() == 2 { weights.shape()[0] } else { 1 };
    let mut shape: rustnn_tensor::Shape = weights.shape().into();
    *shape.last_mut().unwrap_or(&mut 0) = samples as usize;
    let out = Array::empty(&shape, DType::I64, weights.device())?;
    let stream = stream(generator, rows.saturating_mul((samples as usize).max(categories)).saturating_mul(4));
    match layers::multinomial(&contiguous_array(weights.array())?, rows, categories, samples as usize, replacement, stream, &out)? {
        Ok(()) => Ok(Tensor::from_array(out)),
        Err(why) => Err(Error::Runtime(why.text().into())),
    }
}

fn in_place(a: &Args, name: &'static str, law: Law, generator: usize) -> Result<Tensor> {
    let x = a.tensor(0)?;
    write(x, name, law, a.generator(generator)?)?;
    Ok(x.clone())
}

/// Zeros and ones, drawn with the probabilities `p`.
fn bernoulli_each(p: &Array, generator: Option<&Generator>) -> Result<Array> {
    let dense = contiguous_array(p)?;
    check_probabilities(&dense)?;
    let out = Array::empty(p.shape(), p.dtype(), p.device())?;
    layers::bernoulli_each(&dense, stream(generator, p.numel()), &out)?;
    Ok(out)
}

crate::ops! {
    "rand(int[...] size, *, Generator? generator=None, Tensor? out=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False)"
        Function "Uniform in [0, 1)." => |a| drawn(a, UNIT, "rand")?;
    "randn(int[...] size, *, Generator? generator=None, Tensor? out=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False)"
        Function "Normal with mean 0 and variance 1." => |a| drawn(a, STANDARD, "randn")?;
    "rand_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False, MemoryFormat? memory_format=None, Generator? generator=None)"
        Function "Uniform in [0, 1), shaped like the input." => |a| drawn_like(a, UNIT, "rand_like")?;
    "randn_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False, MemoryFormat? memory_format=None, Generator? generator=None)"
        Function "Normal, shaped like the input." => |a| drawn_like(a, STANDARD, "randn_like")?;
    "randint(int high, int[] size, *, Generator? generator=None, Tensor? out=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False)"
        Function "Integers in [0, high)." => |a| randint(a, 0, a.int(0)?, 1)?;
    "randint(int low, int high, int[] size, *, Generator? generator=None, Tensor? out=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False)"
        Function "Integers in [low, high)." => |a| randint(a, a.int(0)?, a.int(1)?, 2)?;
    "randint_like(Tensor self, int high, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False, MemoryFormat? memory_format=None)"
        Function "Integers in [0, high), shaped like the input." => |a| integers_like(a, 0, a.int(1)?, 2)?;
    "randint_like(Tensor self, int low, int high, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False, MemoryFormat? memory_format=None)"
        Function "Integers in [low, high), shaped like the input." => |a| integers_like(a, a.int(1)?, a.int(2)?, 3)?;
    "randperm(int n, *, Generator? generator=None, Tensor? out=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False)"
        Function "A random order of the integers below n." => |a| {
        created(a, 2, |a| {
            let n = usize::try_from(a.int(0)?).map_err(|_| rustnn_tensor::Error::Runtime(format!("Trying to create tensor with negative dimension {n}: [{n}]", n = a.int(0).unwrap_or(-1))))?;
            let dtype = asked_dtype(a, 3)?.unwrap_or(DType::I64);
            check_holds_all_below(n, dtype)?;
            let out = Array::empty(&[n], DType::I64, a.opt_device(5)?.unwrap_or_else(crate::default_device))?;
            layers::randperm(stream(a.generator(1)?, n), &out)?;
            ranged(crate::to_dtype(&Tensor::from_array(out), dtype)?, a.bool(7)?)
        })?
    };
    "normal(Operand mean, Operand std=1, *, Generator? generator=None, Tensor? out=None)" Function "Normal with the mean and standard deviation of each element." =>
        |a| into_out("normal", &[], || normal_each(a.operand(0)?, a.operand(1)?, a.generator(2)?), a.opt_tensor(3)?)?;
    "normal(float mean, float std, int[] size, *, Generator? generator=None, Tensor? out=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False)"
        Function "Normal of a size." => |a| {
        ensure!(a.float(1)? >= 0.0, Runtime, "normal expects std >= 0.0, but found std {}", a.float(1)?);
        let law = Law::Normal { mean: a.float(0)?, std: a.float(1)? };
        created(a, 4, |a| {
            let dtype = asked_dtype(a, 5)?.unwrap_or_else(default_dtype);
            let t = sample(law, a.generator(3)?, &crate::create::sizes(a.ints(2)?)?, dtype, a.opt_device(7)?.unwrap_or_else(crate::default_device))?;
            ranged(t, a.bool(9)?)
        })?
    };
    "bernoulli(Tensor self, *, Generator? generator=None, Tensor? out=None)" Both "1 with each element's probability." => |a| {
        let p = a.tensor(0)?;
        floating(p.dtype(), "bernoulli_tensor_cpu_p_")?;
        let draw = || bernoulli_each(p.array(), a.generator(1)?).map(Tensor::from_array);
        // What is drawn is 0 or 1, which every dtype holds.
        match a.opt_tensor(2)? {
            None => Output::Tensor(flat(draw()?.array(), &[p], "BernoulliBackward0")?),
            Some(out) => into_out("bernoulli", &[p], || crate::copy::to_dtype(&draw()?, out.dtype()), Some(out))?,
        }
    };
    "bernoulli(Tensor self, float p, *, Generator? generator=None)" Both "1 with probability p, shaped like the input." => |a| {
        ensure!((0.0..=1.0).contains(&a.float(1)?), Runtime, "bernoulli_ expects p to be in [0, 1], but got p={}", a.float(1)?);
        sample(Law::Bernoulli { p: a.float(1)? }, a.generator(2)?, a.tensor(0)?.shape(), a.tensor(0)?.dtype(), a.tensor(0)?.device())?
    };
    "bernoulli_(Tensor self, Tensor p, *, Generator? generator=None)" Method "1 with each element's probability, in place." => |a| {
        let (x, p) = (a.tensor(0)?, a.tensor(1)?);
        floating(p.dtype(), "bernoulli_tensor_cpu_p_")?;
        let p = crate::views::expand(&p.detach(), &x.shape().iter().map(|&n| n as i64).collect::<Vec<_>>())?;
        let drawn = bernoulli_each(p.array(), a.generator(2)?)?;
        crate::copy::overwrite(x, "BernoulliBackward1", |array| crate::copy::copy_array(&drawn, array))?;
        x.clone()
    };
    "bernoulli_(Tensor self, float p=0.5, *, Generator? generator=None)" Method "1 with probability p, in place." => |a| {
        ensure!((0.0..=1.0).contains(&a.float(1)?), Runtime, "bernoulli_ expects p to be in [0, 1], but got p={}", a.float(1)?);
        in_place(a, "BernoulliBackward0", Law::Bernoulli { p: a.float(1)? }, 2)?
    };
    "multinomial(Tensor self, int num_samples, bool replacement=False, *, Generator? generator=None)" Both "Categories drawn by weight." =>
        |a| multinomial(a.tensor(0)?, a.int(1)?, a.bool(2)?, a.generator(3)?)?;
    "uniform_(Tensor self, float from=0, float to=1, *, Generator? generator=None)" Method "Uniform in [from, to), in place." => |a| {
        uniform_(a.tensor(0)?, a.float(1)?, a.float(2)?, a.generator(3)?)?;
        a.tensor(0)?.clone()
    };
    "normal_(Tensor self, float mean=0, float std=1, *, Generator? generator=None)" Method "Normal, in place." => |a| {
        normal_(a.tensor(0)?, a.float(1)?, a.float(2)?, a.generator(3)?)?;
        a.tensor(0)?.clone()
    };
    "exponential_(Tensor self, float lambd=1, *, Generator? generator=None)" Method "Exponential, in place." => |a| {
        ensure!(a.float(1)? > 0.0, Runtime, "exponential_ expects lambda > 0.0, but found lambda={}", a.float(1)?);
        in_place(a, "ExponentialBackward0", Law::Exponential { rate: a.float(1)? }, 2)?
    };
    "random_(Tensor self, *, Generator? generator=None)" Method "Integers of the dtype's range, in place." => |a| {
        let dtype = a.tensor(0)?.dtype();
        in_place(a, "RandomBackward0", integers(0, above_all(dtype), dtype)?, 1)?
    };
    "random_(Tensor self, int to, *, Generator? generator=None)" Method "Integers in [0, to), in place." => |a| in_place(a, "RandomBackward0", integers(0, a.int(1)?, a.tensor(0)?.dtype())?, 2)?;
    "random_(Tensor self, int from, int? to, *, Generator? generator=None)" Method "Integers in [from, to), in place; without `to` up to the dtype's greatest." => |a| {
        let dtype = a.tensor(0)?.dtype();
        in_place(a, "RandomBackward0", integers(a.int(1)?, a.opt_int(2)?.unwrap_or(above_all(dtype)), dtype)?, 3)?
    };
    "dropout(Tensor self, float p=0.5, bool training=True, bool inplace=False)" Function "Zeros elements with probability p; the others are divided by 1 - p. Srivastava et al. 2014." =>
        |a| dropout(a.tensor(0)?, a.float(1)?, a.bool(2)?, a.bool(3)?)?;
    "feature_dropout(Tensor self, float p, bool train, bool inplace=False)" Function "Zeros whole channels." => |a| feature_dropout(a.tensor(0)?, a.float(1)?, a.bool(2)?, a.bool(3)?)?;
    "alpha_dropout(Tensor self, float p=0.5, bool training=False, bool inplace=False)" Function "Dropout that keeps mean and variance of SELU networks." => |a| alpha_dropout(a.tensor(0)?, a.float(1)?, a.bool(2)?, false)?;
    "feature_alpha_dropout(Tensor self, float p=0.5, bool training=False, bool inplace=False)" Function "Alpha dropout of whole channels." => |a| alpha_dropout(a.tensor(0)?, a.float(1)?, a.bool(2)?, true)?;
}
