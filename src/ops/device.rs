//! Where an op runs: every kernel that ops call goes through here. Arrays on the CPU go to the CPU's kernels, arrays on a GPU
//! to the GPU's; what a GPU has no kernel for is computed on the CPU, on copies brought over and back, with one warning that
//! names the op.

pub(crate) mod arrays;
pub(crate) mod indexing;
pub(crate) mod layers;

use rustnn_kernels::arrays as cpu;
use rustnn_tensor::{Array, DType, Device, DeviceBuffer, Error, Result, Storage, bail};
use smallvec::SmallVec;
use std::cell::Cell;
use std::collections::HashSet;
use std::sync::Mutex;

/// Makes the device `gpu` known where it is built in. No driver is touched before the first tensor on it.
pub fn register() {
    #[cfg(feature = "gpu")]
    rustnn_gpu::register();
}

/// What there is to know of GPUs and to ask of them. In a build without the feature there are none.
pub mod gpus {
    use rustnn_tensor::Result;

    /// How many there are, those that the CPU imitates included.
    pub fn count() -> usize {
        #[cfg(feature = "gpu")]
        return rustnn_gpu::device_count();
        #[cfg(not(feature = "gpu"))]
        0
    }

    macro_rules! asked {
        ($($(#[$doc:meta])* $name:ident($index:ident $(, $more:ident: $type:ty)*) -> $result:ty $body:block)*) => { $(
            $(#[$doc])*
            pub fn $name($index: u16 $(, $more: $type)*) -> Result<$result> {
                #[cfg(feature = "gpu")]
                return $body;
                #[cfg(not(feature = "gpu"))]
                {
                    $(let _ = $more;)*
                    rustnn_tensor::bail!(Runtime, "gpu:{}: rustnn was built without the gpu feature", $index)
                }
            }
        )* };
    }

    asked! {
        /// The adapter's name, its driver and the interface it is reached by.
        name(index) -> String { rustnn_gpu::device_name(index) }
        /// Whether the CPU imitates it.
        is_imitated(index) -> bool { rustnn_gpu::is_imitated(index) }
        /// Waits until the device has done everything asked of it.
        synchronize(index) -> () { rustnn_gpu::gpu(index)?.synchronize() }
        /// Bytes of the buffers that tensors hold, and the most they have held.
        memory(index) -> (usize, usize) { rustnn_gpu::gpu(index).map(|g| (g.memory_allocated(), g.max_memory_allocated())) }
        /// Gives pooled buffers back to the driver.
        empty_cache(index) -> () { rustnn_gpu::gpu(index)?.empty_cache() }
        /// Dispatches, and how often the host waited, so far.
        counts(index) -> (u64, u64) { rustnn_gpu::gpu(index).map(|g| (g.dispatches(), g.waits())) }
        /// Ends the device as a driver that gives up would. For tests.
        lose(index) -> () { rustnn_gpu::gpu(index).map(|g| g.lose()) }
        /// Forgets what kernels found wrong with numbers. For tests.
        forget_faults(index) -> () { rustnn_gpu::gpu(index).map(|g| g.forget_faults()) }
        /// Begins to time every kernel by the device's clock.
        start_profile(index) -> () { rustnn_gpu::gpu(index)?.start_profile() }
        /// Ends that: for each kernel its name, how often it ran, and for how many ns in all.
        end_profile(index) -> Vec<(String, u64, f64)> { rustnn_gpu::gpu(index)?.end_profile() }
        /// Records a kernel of multiply-adds in registers and gives how many operations it does.
        fma_loop(index, loops: usize) -> f64 { rustnn_gpu::fma_loop(index, loops) }
        /// Records the driver's own copy of so many bytes.
        buffer_copy(index, bytes: usize) -> () { rustnn_gpu::buffer_copy(index, bytes) }
    }
}

/// Where a kernel runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the CPU; on the meta device its kernels do nothing.
    Host,
    Gpu,
}

/// Where a kernel over these arrays runs: they must lie on one device.
#[inline]
pub(crate) fn place(arrays: &[Option<&Array>]) -> Result<Place> {
    if arrays.iter().flatten().all(|a| !a.device().is_gpu()) { Ok(Place::Host) } else { on_one_device(arrays.iter().flatten()) }
}

/// The same of a kernel that writes some of them, for which those that it reads must have data where these have.
#[inline]
pub(crate) fn place_of(read: &[Option<&Array>], written: &[Option<&Array>]) -> Result<Place> {
    let mut all = read.iter().chain(written).flatten();
    if all.all(|a| a.device() == Device::Cpu) { Ok(Place::Host) } else { place_elsewhere(read, written) }
}

#[cold]
fn place_elsewhere(read: &[Option<&Array>], written: &[Option<&Array>]) -> Result<Place> {
    let all = || read.iter().chain(written).flatten();
    let has_gpu = all().any(|a| a.device().is_gpu());
    let misses = written.iter().flatten().any(|a| a.is_host()) && read.iter().flatten().any(|a| a.is_meta());
    if has_gpu || misses { on_one_device(all()) } else { Ok(Place::Host) }
}

#[cold]
fn on_one_device<'a, 'b: 'a>(arrays: impl Iterator<Item = &'a &'b Array>) -> Result<Place> {
    let mut devices = arrays.map(|a| a.device());
    let first = devices.next().unwrap_or(Device::Cpu);
    match devices.find(|d| *d != first) {
        None => Ok(Place::Gpu),
        Some(other) => {
            let (first, other) = (first.to_string(), other.to_string());
            let (a, b) = if first <= other { (first, other) } else { (other, first) };
            bail!(Runtime, "Expected all tensors to be on the same device, but found at least two devices, {a} and {b}!")
        }
    }
}

pub(crate) fn buffer(array: &Array) -> Result<&dyn DeviceBuffer> {
    array.storage().device_buffer().ok_or_else(|| Error::Runtime(format!("{array:?} is not in device memory")))
}

/// The bytes of a contiguous array on the CPU.
pub(crate) fn upload(from: &Array, to: &Array) -> Result<()> {
    let range = to.reach_bytes();
    if range.is_empty() {
        return Ok(());
    }
    let bytes = cpu::bytes(from);
    if range.end == to.storage().len_bytes() && range.start.is_multiple_of(4) && !bytes.len().is_multiple_of(4) {
        // Whole words are written without reading what else lies in them: behind a storage's end there is nothing.
        let mut words = bytes.to_vec();
        words.resize(bytes.len().next_multiple_of(4), 0);
        return buffer(to)?.upload(range.start, &words);
    }
    buffer(to)?.upload(range.start, bytes)
}

/// A copy on the CPU of an array on a GPU, of the same geometry: waits.
pub(crate) fn download(array: &Array) -> Result<Array> {
    let reach = array.reach_bytes();
    let width = array.dtype().size_bytes();
    let copy = Array::empty(&[reach.len()], DType::U8, Device::Cpu)?;
    if !reach.is_empty() {
        cpu::with_bytes_mut(&copy, |bytes| buffer(array)?.download(reach.start, bytes))?;
    }
    let offset = if reach.is_empty() { 0 } else { array.offset() - reach.start / width };
    Array::from_storage(copy.storage().clone(), array.dtype(), array.shape(), array.strides(), offset)
}

/// Copies on the CPU of arrays on a GPU: whole storages, so that arrays which share one do so here too.
pub(crate) struct Host {
    kernel: String,
    dtype: Option<DType>,
    copies: SmallVec<[(Storage, Storage); 4]>,
    written: SmallVec<[(Array, Array); 2]>,
}

impl Host {
    /// For a kernel that the GPU lacks.
    pub fn new(kernel: &str, dtype: Option<DType>) -> Host {
        Host { kernel: kernel.into(), dtype, copies: SmallVec::new(), written: SmallVec::new() }
    }

    /// The copy of an array; arrays that lie elsewhere are given back.
    pub fn stage(&mut self, array: &Array) -> Result<Array> {
        if !array.device().is_gpu() {
            return Ok(array.clone());
        }
        let storage = array.storage();
        let copy = match self.copies.iter().find(|(from, _)| from.same(storage)) {
            Some((_, copy)) => copy.clone(),
            None => {
                let whole = Array::empty(&[storage.len_bytes()], DType::U8, Device::Cpu)?;
                cpu::with_bytes_mut(&whole, |bytes| buffer(array)?.download(0, bytes))?;
                self.copies.push((storage.clone(), whole.storage().clone()));
                whole.storage().clone()
            }
        };
        Array::from_storage(copy, array.dtype(), array.shape(), array.strides(), array.offset())
    }

    /// As [`Host::stage`], for an array that the kernel writes.
    pub fn stage_written(&mut self, array: &Array) -> Result<Array> {
        let copy = self.stage(array)?;
        self.written.push((array.clone(), copy.clone()));
        Ok(copy)
    }

    /// Says that the op ran on the CPU (one that refused its arguments did not), and brings back what was written.
    pub fn finish(self) -> Result<()> {
        // An op may have a kernel for what it is given, and none to make it what was asked for.
        let name = if self.kernel.starts_with("copy to") { &self.kernel } else { called().unwrap_or(&self.kernel) };
        warn_once(name.trim_start_matches('_'), self.dtype)?;
        for (array, copy) in self.written.iter().filter(|(array, _)| array.device().is_gpu() && array.numel() > 0) {
            let reach = copy.reach_bytes();
            let bytes = Array::from_storage(copy.storage().clone(), DType::U8, &[reach.len()], &[1], reach.start)?;
            buffer(array)?.upload(reach.start, cpu::bytes(&bytes))?;
        }
        Ok(())
    }
}

/// Says once for each op and dtype that it runs on the CPU. Where the program makes errors of warnings, it is said again.
pub fn warn_once(op: &str, dtype: Option<DType>) -> Result<()> {
    static SAID: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let said = || SAID.lock().unwrap_or_else(|e| e.into_inner());
    let name = match dtype {
        Some(dtype) => format!("{op} of {}", dtype.name()),
        None => op.to_owned(),
    };
    if !said().get_or_insert_default().insert(name.clone()) {
        return Ok(());
    }
    let text = format!("{name} has no GPU kernel: it runs on the CPU, on copies brought over and back (said once)");
    crate::warning::warn(&text).inspect_err(|_| {
        said().get_or_insert_default().remove(&name);
    })
}

/// What this thread is running, by the outermost name: warnings give it rather than a kernel's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Called {
    /// An op's schema.
    Op(&'static str),
    /// A node of the graph.
    Node(&'static str),
}

thread_local! {
    static CALLED: Cell<Option<Called>> = const { Cell::new(None) };
}

/// Names what is called, until it is dropped.
#[derive(Debug)]
pub(crate) struct Scope(bool);

impl Scope {
    #[inline]
    pub fn new(name: Called) -> Scope {
        let outermost = cfg!(feature = "gpu") && CALLED.get().is_none();
        if outermost {
            CALLED.set(Some(name));
        }
        Scope(outermost)
    }
}

impl Drop for Scope {
    #[inline]
    fn drop(&mut self) {
        if self.0 {
            CALLED.set(None);
        }
    }
}

/// The name of what is called.
fn called() -> Option<&'static str> {
    match CALLED.get()? {
        Called::Op(schema) => schema.split('(').next(),
        Called::Node(name) => Some(name),
    }
}

/// An argument that is an array, or may be one.
pub(crate) trait Stage: Copy {
    type Kept: Lend;
    fn array(&self) -> Option<&Array>;
    fn stage(self, host: &mut Host, written: bool) -> Result<Self::Kept>;
}

/// The copy of such an argument, as the kernel takes it.
pub(crate) trait Lend {
    type Lent<'a>
    where
        Self: 'a;
    fn lend(&self) -> Self::Lent<'_>;
}

impl Stage for &Array {
    type Kept = Array;
    fn array(&self) -> Option<&Array> {
        Some(self)
    }
    fn stage(self, host: &mut Host, written: bool) -> Result<Array> {
        if written { host.stage_written(self) } else { host.stage(self) }
    }
}

impl Lend for Array {
    type Lent<'a> = &'a Array;
    fn lend(&self) -> &Array {
        self
    }
}

impl Stage for Option<&Array> {
    type Kept = Option<Array>;
    fn array(&self) -> Option<&Array> {
        *self
    }
    fn stage(self, host: &mut Host, written: bool) -> Result<Option<Array>> {
        self.map(|a| a.stage(host, written)).transpose()
    }
}

impl Lend for Option<Array> {
    type Lent<'a> = Option<&'a Array>;
    fn lend(&self) -> Option<&Array> {
        self.as_ref()
    }
}

/// The body of a kernel's door: `[read] [written] module::kernel(arguments)`, followed by `gpu` where the GPU crate has a
/// function of that name, which says whether it took the call.
macro_rules! door {
    ([$($read:ident),*] [$($written:ident),*] $module:ident::$name:ident $arguments:tt $($gpu:ident)?) => {{
        use $crate::device::{Host, Lend, Place, Stage, place_of};
        let (read, written) = ([$($read.array()),*], [$($written.array()),*]);
        if place_of(&read, &written)? == Place::Host {
            return rustnn_kernels::$module::$name $arguments;
        }
        $($crate::device::door!(@$gpu $name $arguments);)?
        let mut host = Host::new(stringify!($name), read.iter().chain(&written).flatten().next().map(|a| a.dtype()));
        $(
            let kept = $read.stage(&mut host, false)?;
            let $read = kept.lend();
        )*
        $(
            let kept = $written.stage(&mut host, true)?;
            let $written = kept.lend();
        )*
        let out = rustnn_kernels::$module::$name $arguments?;
        host.finish()?;
        Ok(out)
    }};
    (@gpu $name:ident $arguments:tt) => {
        #[cfg(feature = "gpu")]
        if rustnn_gpu::$name $arguments? {
            return Ok(());
        }
    };
}
pub(crate) use door;
