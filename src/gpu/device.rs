//! A GPU: adapter, queue, the open command encoder, pooled buffers and cached pipelines.

use crate::fault;
use crate::shader::{MAX_PARAMS_BYTES, Shader};
use rustnn_tensor::{Array, Backend, Device, DeviceBuffer, Error, Result, bail};
use smallvec::SmallVec;
use std::any::Any;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

/// Dispatches that gather in the encoder before they are submitted.
const FLUSH_AFTER: usize = 32;
/// Room for the parameters of as many dispatches, each on a boundary that every adapter accepts.
const PARAMS_STEP_BYTES: usize = 256;
/// What every adapter with immediates has room for.
const MAX_IMMEDIATE_BYTES: u32 = 128;
const PARAMS_BYTES: usize = 2 * FLUSH_AFTER * PARAMS_STEP_BYTES + MAX_PARAMS_BYTES;
/// Submissions that may be under way: the host gets no further ahead, but waits for the oldest.
const MAX_UNDER_WAY: usize = 64;
/// Bind groups kept; all are forgotten beyond.
const MAX_BIND_GROUPS: usize = 4096;
/// What kernels find wrong, before what is read.
const SLOT_BYTES: usize = 4 * fault::WORDS;
const FLAGS_BYTES: usize = SLOT_BYTES * fault::SLOTS;
/// Smallest buffer.
const MIN_BUFFER_BYTES: u64 = 256;

struct Adapters {
    adapters: Vec<wgpu::Adapter>,
    gpus: Vec<OnceLock<std::result::Result<Arc<Gpu>, String>>>,
}

/// Adapters in the order of their device numbers: real GPUs before those that the CPU imitates.
fn adapters() -> &'static Adapters {
    static ALL: OnceLock<Adapters> = OnceLock::new();
    ALL.get_or_init(|| {
        watch_forks();
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: wgpu::Backends::PRIMARY,
            flags: wgpu::InstanceFlags::empty(),
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let mut adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
        adapters.sort_by_key(|a| match a.get_info().device_type {
            wgpu::DeviceType::DiscreteGpu => 0,
            wgpu::DeviceType::IntegratedGpu => 1,
            wgpu::DeviceType::VirtualGpu => 2,
            wgpu::DeviceType::Other => 3,
            wgpu::DeviceType::Cpu => 4,
        });
        let gpus = adapters.iter().map(|_| OnceLock::new()).collect();
        Adapters { adapters, gpus }
    })
}

static FORKED: AtomicBool = AtomicBool::new(false);

/// Whether this is a forked child of a process that had opened the adapters: it has none of its own.
fn forked() -> bool {
    FORKED.load(Relaxed)
}

/// Has the children of forks know that they are some: asking the system for the process at every op takes longer.
fn watch_forks() {
    #[cfg(unix)]
    {
        extern "C" fn child() {
            FORKED.store(true, Relaxed);
        }
        // SAFETY: the handler only stores to an atomic.
        unsafe { libc::pthread_atfork(None, None, Some(child)) };
    }
}

/// How many GPUs there are; adapters that the CPU imitates count.
pub fn device_count() -> usize {
    adapters().adapters.len()
}

/// Whether the CPU imitates it.
pub fn is_imitated(index: u16) -> Result<bool> {
    let adapter = adapters().adapters.get(index as usize).ok_or_else(|| no_device(index))?;
    Ok(adapter.get_info().device_type == wgpu::DeviceType::Cpu)
}

/// The adapter's name, its driver and the interface it is reached by.
pub fn device_name(index: u16) -> Result<String> {
    match adapters().adapters.get(index as usize) {
        Some(adapter) => {
            let info = adapter.get_info();
            Ok(format!("{} ({}, {})", info.name, info.backend, info.driver))
        }
        None => Err(no_device(index)),
    }
}

fn no_device(index: u16) -> Error {
    Error::Runtime(match device_count() {
        0 => "no GPU: no adapter was found through Vulkan, Metal or DX12; is a driver installed?".into(),
        n => format!("invalid device: gpu:{index}; there are {n} of them, from gpu:0"),
    })
}

/// The number of a device that needs no adapter: it checks every shader and every command, and runs nothing. For tests.
pub const CHECKER: u16 = u16::MAX;

fn checker() -> Arc<Gpu> {
    static CHECKER_GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    let make = || {
        let descriptor = wgpu::DeviceDescriptor {
            required_features: wgpu::Features::IMMEDIATES,
            required_limits: wgpu::Limits { max_immediate_size: MAX_IMMEDIATE_BYTES, ..Default::default() },
            ..Default::default()
        };
        let (device, queue) = wgpu::Device::noop(&descriptor);
        let limits = device.limits();
        Arc::new(Gpu::over(device, queue, limits, CHECKER))
    };
    CHECKER_GPU.get_or_init(make).clone()
}

/// See [`watch_shaders`].
static WATCH: OnceLock<fn(&str, &str)> = OnceLock::new();

/// Shows every shader that the checker compiles, by its key and its text. For tests.
pub fn watch_shaders(watch: fn(&str, &str)) {
    let _ = WATCH.set(watch);
}

/// A device by its number.
pub fn gpu(index: u16) -> Result<Arc<Gpu>> {
    if index == CHECKER {
        return Ok(checker());
    }
    let all = adapters();
    if forked() {
        bail!(Runtime, "a GPU cannot be used in a forked child: start the process by 'spawn' instead");
    }
    let Some(slot) = all.gpus.get(index as usize) else { return Err(no_device(index)) };
    match slot.get_or_init(|| Gpu::new(&all.adapters[index as usize], index).map(Arc::new)) {
        Ok(gpu) => Ok(gpu.clone()),
        Err(text) => Err(Error::Runtime(text.clone())),
    }
}

/// A buffer in device memory that goes back to the pool when dropped.
pub struct Buffer {
    gpu: Arc<Gpu>,
    raw: Option<Raw>,
    /// What was asked for: buffers are somewhat larger.
    len_bytes: usize,
}

struct Raw {
    buffer: wgpu::Buffer,
    /// Tells buffers apart in the cache of bind groups.
    id: u64,
    /// The last encoder that a command on it was recorded in.
    used: AtomicU64,
    /// Which launches its numbers come from; read and written by who holds the state.
    source: fault::Source,
}

impl Raw {
    fn new(buffer: wgpu::Buffer, id: u64) -> Raw {
        Raw { buffer, id, used: AtomicU64::new(0), source: fault::Source::default() }
    }
}

impl Buffer {
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    fn raw(&self) -> &Raw {
        self.raw.as_ref().expect("present until dropped")
    }

    pub fn id(&self) -> u64 {
        self.raw().id
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take() {
            if forked() {
                // A forked child has no device; its lock may be another thread's for ever.
                return std::mem::forget(raw);
            }
            let bytes = raw.buffer.size();
            self.gpu.allocated_bytes.fetch_sub(bytes as usize, Relaxed);
            // Commands already recorded run before any that use the buffer next: one queue, one order.
            self.gpu.lock().pool.entry(bytes).or_default().push(raw);
        }
    }
}

impl DeviceBuffer for Buffer {
    fn download(&self, offset_bytes: usize, to: &mut [u8]) -> Result<()> {
        self.gpu.download(self.raw(), offset_bytes, to)
    }

    fn upload(&self, offset_bytes: usize, from: &[u8]) -> Result<()> {
        if offset_bytes == 0 && from.len() >= self.len_bytes {
            self.raw().source.reset();
        }
        self.gpu.upload(self.raw(), offset_bytes, from)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The buffer that an array on a GPU lies in.
pub fn buffer(array: &Array) -> Result<&Buffer> {
    let buffer = array.storage().device_buffer().and_then(|b| b.as_any().downcast_ref::<Buffer>());
    buffer.ok_or_else(|| Error::Runtime(format!("an array on {} where one on a GPU was expected", array.device())))
}

struct State {
    // Dropped in this order: a pass belongs to its encoder.
    pass: Option<wgpu::ComputePass<'static>>,
    encoder: Option<wgpu::CommandEncoder>,
    /// The encoder's number.
    serial: u64,
    recorded: usize,
    params: Vec<u8>,
    pool: HashMap<u64, Vec<Raw>>,
    staging: HashMap<u64, Vec<wgpu::Buffer>>,
    pipelines: HashMap<Box<[u8]>, Arc<Pipeline>, Quick>,
    /// By which buffers are written, and whether parameters are immediates.
    layouts: HashMap<(SmallVec<[bool; 8]>, bool), Arc<(wgpu::BindGroupLayout, wgpu::PipelineLayout)>>,
    bind_groups: HashMap<(u64, SmallVec<[u64; 8]>), wgpu::BindGroup, Quick>,
    under_way: VecDeque<wgpu::SubmissionIndex>,
    faults: fault::Faults,
    profile: Option<Profile>,
}

/// Times of kernels by the device's own clock: each dispatch has a pass of its own and is waited for.
struct Profile {
    /// For each kernel how often it ran and for how many ns.
    times: BTreeMap<String, (u64, f64)>,
    /// The kernels in the encoder.
    recorded: Vec<String>,
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    read: wgpu::Buffer,
}

/// Hashes short keys in a few steps for each eight bytes.
#[derive(Default)]
struct Hash(u64);

type Quick = BuildHasherDefault<Hash>;

impl Hasher for Hash {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

struct Pipeline {
    /// What the kernel is called in errors and profiles.
    label: String,
    pipeline: wgpu::ComputePipeline,
    layout: Arc<(wgpu::BindGroupLayout, wgpu::PipelineLayout)>,
    /// Tells layouts apart in the cache of bind groups.
    layout_id: u64,
    /// Which of the buffers it writes; the last one is that of the flags, if it has one.
    writes: SmallVec<[bool; 8]>,
    flags: bool,
    /// Whether parameters go along with the commands; else they lie in the uniform buffer.
    immediates: bool,
}

/// One device and its queue.
pub struct Gpu {
    pub index: u16,
    device: wgpu::Device,
    queue: wgpu::Queue,
    limits: wgpu::Limits,
    /// Parameters of up to so many bytes are immediates; 0 where the adapter has none.
    immediate_bytes: usize,
    state: Mutex<State>,
    params: wgpu::Buffer,
    /// Set by kernels that meet a bad index; read with the next download.
    flags: Raw,
    /// Held by the one thread that reads: those who come later know what was found before.
    reading: Mutex<()>,
    /// The first fault that wgpu reported outside of a call.
    fault: Arc<Mutex<Option<String>>>,
    /// Whether there is one.
    faulty: Arc<AtomicBool>,
    allocated_bytes: AtomicUsize,
    max_allocated_bytes: AtomicUsize,
    next_id: AtomicU64,
    dispatches: AtomicU64,
    waits: AtomicU64,
}

const STORAGE: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

impl Gpu {
    fn new(adapter: &wgpu::Adapter, index: u16) -> std::result::Result<Gpu, String> {
        let limits = adapter.limits();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("rustnn"),
            required_limits: limits.clone(),
            required_features: adapter.features() & (wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::IMMEDIATES),
            ..Default::default()
        };
        let name = adapter.get_info().name;
        let (device, queue) =
            pollster::block_on(adapter.request_device(&descriptor)).map_err(|e| format!("gpu:{index} ({name}) cannot be opened: {e}"))?;
        Ok(Gpu::over(device, queue, limits, index))
    }

    fn over(device: wgpu::Device, queue: wgpu::Queue, limits: wgpu::Limits, index: u16) -> Gpu {
        let fault = Arc::new(Mutex::new(None));
        let faulty = Arc::new(AtomicBool::new(false));
        let (note, sign) = (fault.clone(), faulty.clone());
        // The default is to panic.
        device.on_uncaptured_error(Arc::new(move |error| {
            note.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert_with(|| error.to_string());
            sign.store(true, Relaxed);
        }));
        let (note, sign) = (fault.clone(), faulty.clone());
        device.set_device_lost_callback(move |reason, text| {
            // What went wrong because of it may have been heard of before.
            *note.lock().unwrap_or_else(|e| e.into_inner()) = Some(format!("the device is lost ({reason:?}): {text}"));
            sign.store(true, Relaxed);
        });
        let params = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("params"),
            size: PARAMS_BYTES as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let flags = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("flags"),
            size: FLAGS_BYTES as u64,
            usage: STORAGE,
            mapped_at_creation: false,
        });
        let immediate_bytes = match device.features().contains(wgpu::Features::IMMEDIATES) {
            true => limits.max_immediate_size.min(MAX_IMMEDIATE_BYTES) as usize,
            false => 0,
        };
        Gpu {
            index,
            device,
            queue,
            limits,
            immediate_bytes,
            state: Mutex::new(State {
                pass: None,
                encoder: None,
                serial: 1,
                recorded: 0,
                params: Vec::new(),
                pool: HashMap::new(),
                staging: HashMap::new(),
                pipelines: HashMap::default(),
                layouts: HashMap::new(),
                bind_groups: HashMap::default(),
                under_way: VecDeque::new(),
                faults: fault::Faults::default(),
                profile: None,
            }),
            params,
            flags: Raw::new(flags, 0),
            reading: Mutex::new(()),
            fault,
            faulty,
            allocated_bytes: AtomicUsize::new(0),
            max_allocated_bytes: AtomicUsize::new(0),
            next_id: AtomicU64::new(1),
            dispatches: AtomicU64::new(0),
            waits: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn check(&self) -> Result<()> {
        if forked() {
            bail!(Runtime, "a GPU cannot be used in a forked child: start the process by 'spawn' instead");
        }
        if !self.faulty.load(Relaxed) {
            return Ok(());
        }
        // A lost device says so when it is asked.
        let _ = self.device.poll(wgpu::PollType::Poll);
        match &*self.fault.lock().unwrap_or_else(|e| e.into_inner()) {
            Some(text) => bail!(Runtime, "gpu:{}: {text}", self.index),
            None => Ok(()),
        }
    }

    // Memory.

    /// Four classes per power of two, so that at most a quarter is wasted.
    fn class_bytes(len: u64) -> u64 {
        let len = len.max(MIN_BUFFER_BYTES);
        let step = (len.next_power_of_two() / 8).max(MIN_BUFFER_BYTES / 4);
        len.next_multiple_of(step)
    }

    /// A buffer from the driver, or the error that there is no memory for it.
    fn create(&self, label: Option<&str>, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false });
        match pollster::block_on(scope.pop()) {
            None => Ok(buffer),
            Some(_) => Err(Error::DeviceOutOfMemory { device: Device::Gpu(self.index), bytes: size as usize }),
        }
    }

    pub fn allocate(self: &Arc<Gpu>, len_bytes: usize, zeroed: bool) -> Result<Buffer> {
        self.check()?;
        let limit = self.limits.max_buffer_size.min(self.limits.max_storage_buffer_binding_size);
        if len_bytes as u64 > limit {
            bail!(
                Runtime,
                "gpu:{}: a tensor of {len_bytes} bytes is over this adapter's limit of {limit} bytes for one buffer; split it",
                self.index
            );
        }
        let class = Gpu::class_bytes(len_bytes as u64).min(limit.next_multiple_of(4));
        let pooled = self.lock().pool.get_mut(&class).and_then(Vec::pop);
        let raw = match pooled {
            Some(raw) => {
                if zeroed && len_bytes > 0 {
                    let mut state = self.lock();
                    self.encoder_outside_pass(&mut state).clear_buffer(&raw.buffer, 0, None);
                    raw.used.store(state.serial, Relaxed);
                }
                raw
            }
            None => {
                // Fresh buffers are zeros.
                let buffer = self.create(None, class, STORAGE).or_else(|_| {
                    self.empty_cache()?;
                    self.create(None, class, STORAGE)
                })?;
                Raw::new(buffer, self.next_id.fetch_add(1, Relaxed))
            }
        };
        let now = self.allocated_bytes.fetch_add(raw.buffer.size() as usize, Relaxed) + raw.buffer.size() as usize;
        self.max_allocated_bytes.fetch_max(now, Relaxed);
        raw.source.reset();
        Ok(Buffer { gpu: self.clone(), raw: Some(raw), len_bytes })
    }

    /// Gives the pooled buffers back to the driver, after what is under way.
    pub fn empty_cache(&self) -> Result<()> {
        let mut state = self.lock();
        self.flush(&mut state)?;
        state.pool.clear();
        state.staging.clear();
        state.bind_groups.clear();
        drop(state);
        self.wait(None)
    }

    /// Bytes of the buffers that tensors hold.
    pub fn memory_allocated(&self) -> usize {
        self.allocated_bytes.load(Relaxed)
    }

    /// The most that [`Gpu::memory_allocated`] has been.
    pub fn max_memory_allocated(&self) -> usize {
        self.max_allocated_bytes.load(Relaxed)
    }

    /// Dispatches so far.
    pub fn dispatches(&self) -> u64 {
        self.dispatches.load(Relaxed)
    }

    /// How often the host waited for the device so far.
    pub fn waits(&self) -> u64 {
        self.waits.load(Relaxed)
    }

    /// Storage buffers that a kernel may bind.
    pub(crate) fn storage_buffers(&self) -> usize {
        self.limits.max_storage_buffers_per_shader_stage.min(self.limits.max_bindings_per_bind_group - 1) as usize
    }

    // Commands.

    fn encoder_outside_pass<'a>(&self, state: &'a mut State) -> &'a mut wgpu::CommandEncoder {
        state.pass = None;
        state.encoder.get_or_insert_with(|| self.device.create_command_encoder(&Default::default()))
    }

    fn flush(&self, state: &mut State) -> Result<Option<wgpu::SubmissionIndex>> {
        state.pass = None;
        state.recorded = 0;
        state.serial += 1;
        let params = std::mem::take(&mut state.params);
        let Some(mut encoder) = state.encoder.take() else { return Ok(None) };
        if let Some(profile) = state.profile.as_ref().filter(|p| !p.recorded.is_empty()) {
            let count = 2 * profile.recorded.len() as u32;
            encoder.resolve_query_set(&profile.queries, 0..count, &profile.resolved, 0);
            encoder.copy_buffer_to_buffer(&profile.resolved, 0, &profile.read, 0, count as u64 * 8);
        }
        if !params.is_empty() {
            self.queue.write_buffer(&self.params, 0, &params);
        }
        state.params = params;
        state.params.clear();
        let index = self.queue.submit([encoder.finish()]);
        state.under_way.push_back(index.clone());
        if let Some(profile) = &mut state.profile {
            self.read_times(profile, &index)?;
        }
        // Takes back what has been done; does not wait.
        let _ = self.device.poll(wgpu::PollType::Poll);
        if state.under_way.len() > MAX_UNDER_WAY {
            while let Some(oldest) = state.under_way.pop_front() {
                if self.is_done(&oldest) {
                    continue;
                }
                if state.under_way.len() < MAX_UNDER_WAY {
                    state.under_way.push_front(oldest);
                } else {
                    self.wait(Some(oldest))?;
                }
                break;
            }
        }
        self.check()?;
        Ok(Some(index))
    }

    fn is_done(&self, submission: &wgpu::SubmissionIndex) -> bool {
        let now = wgpu::PollType::Wait { submission_index: Some(submission.clone()), timeout: Some(std::time::Duration::ZERO) };
        self.device.poll(now).is_ok()
    }

    /// The only way to wait: each is counted.
    fn wait(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        self.waits.fetch_add(1, Relaxed);
        match self.device.poll(wgpu::PollType::Wait { submission_index, timeout: None }) {
            Ok(_) => self.check(),
            Err(error) => bail!(Runtime, "gpu:{}: {error}", self.index),
        }
    }

    fn read_times(&self, profile: &mut Profile, submission: &wgpu::SubmissionIndex) -> Result<()> {
        if profile.recorded.is_empty() {
            return Ok(());
        }
        let len = 16 * profile.recorded.len() as u64;
        profile.read.map_async(wgpu::MapMode::Read, 0..len, |_| {});
        self.wait(Some(submission.clone()))?;
        {
            let Ok(view) = profile.read.get_mapped_range(0..len) else {
                bail!(Runtime, "gpu:{}: device memory could not be read", self.index)
            };
            let tick = self.queue.get_timestamp_period() as f64;
            for (name, pair) in profile.recorded.drain(..).zip(view.chunks_exact(16)) {
                let [start, end]: [u64; 2] = bytemuck::pod_read_unaligned(pair);
                let entry = profile.times.entry(name).or_default();
                *entry = (entry.0 + 1, entry.1 + end.saturating_sub(start) as f64 * tick);
            }
        }
        profile.read.unmap();
        Ok(())
    }

    /// Ends the device as a driver that gives up would: whatever is asked of it after this is an error. For tests.
    pub fn lose(&self) {
        self.device.destroy();
    }

    /// Begins to time every kernel; an error where the adapter has no clock for that.
    pub fn start_profile(&self) -> Result<()> {
        self.check()?;
        if !self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            bail!(Runtime, "gpu:{}: this adapter does not time kernels", self.index);
        }
        let mut state = self.lock();
        self.flush(&mut state)?;
        let buffer = |usage| {
            let size = 16 * FLUSH_AFTER as u64;
            self.device.create_buffer(&wgpu::BufferDescriptor { label: Some("times"), size, usage, mapped_at_creation: false })
        };
        state.profile = Some(Profile {
            times: BTreeMap::new(),
            recorded: Vec::new(),
            queries: self.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: None,
                ty: wgpu::QueryType::Timestamp,
                count: 2 * FLUSH_AFTER as u32,
            }),
            resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            read: buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
        });
        Ok(())
    }

    /// Ends the timing: for each kernel its name, how often it ran, and for how many ns in all.
    pub fn end_profile(&self) -> Result<Vec<(String, u64, f64)>> {
        let mut state = self.lock();
        self.flush(&mut state)?;
        let profile = state.profile.take();
        Ok(profile.map_or_else(Vec::new, |p| p.times.into_iter().map(|(name, (count, ns))| (name, count, ns)).collect()))
    }

    /// Records the driver's copy from one buffer to another.
    pub(crate) fn copy_buffer(&self, from: &Buffer, to: &Buffer, bytes: u64) -> Result<()> {
        self.check()?;
        let mut state = self.lock();
        self.encoder_outside_pass(&mut state).copy_buffer_to_buffer(&from.raw().buffer, 0, &to.raw().buffer, 0, bytes);
        [from, to].iter().for_each(|b| b.raw().used.store(state.serial, Relaxed));
        Ok(())
    }

    /// Waits until the device has done everything asked of it.
    pub fn synchronize(&self) -> Result<()> {
        self.check()?;
        self.flush(&mut self.lock())?;
        self.wait(None)
    }

    fn upload(&self, raw: &Raw, offset: usize, from: &[u8]) -> Result<()> {
        self.check()?;
        if from.is_empty() {
            return Ok(());
        }
        let mut state = self.lock();
        // The queue writes before the next submission: what is recorded on this buffer has to go first.
        if raw.used.load(Relaxed) == state.serial {
            self.flush(&mut state)?;
        }
        let (start, end) = (offset & !3, (offset + from.len()).next_multiple_of(4));
        if start == offset && end == offset + from.len() {
            self.queue.write_buffer(&raw.buffer, offset as u64, from);
            return Ok(());
        }
        drop(state);
        // Words at the ends that others share.
        let end = end.min(raw.buffer.size() as usize);
        let mut bytes = vec![0u8; end - start];
        self.download(raw, start, &mut bytes)?;
        bytes[offset - start..offset - start + from.len()].copy_from_slice(from);
        self.queue.write_buffer(&raw.buffer, start as u64, &bytes);
        Ok(())
    }

    fn download(&self, raw: &Raw, offset: usize, to: &mut [u8]) -> Result<()> {
        self.check()?;
        if to.is_empty() {
            return Ok(());
        }
        let (start, end) = (offset & !3, (offset + to.len()).next_multiple_of(4));
        let len = (end - start) as u64;
        let class = Gpu::class_bytes(len + FLAGS_BYTES as u64);
        let _reading = self.reading.lock().unwrap_or_else(|e| e.into_inner());
        let mut state = self.lock();
        let staging = match state.staging.get_mut(&class).and_then(Vec::pop) {
            Some(staging) => staging,
            None => self.create(Some("staging"), class, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)?,
        };
        let blame = raw.source.blame(&state.faults);
        let (window, slots) = state.faults.end_window();
        let encoder = self.encoder_outside_pass(&mut state);
        encoder.copy_buffer_to_buffer(&raw.buffer, start as u64, &staging, FLAGS_BYTES as u64, len);
        if slots > 0 {
            encoder.copy_buffer_to_buffer(&self.flags.buffer, 0, &staging, 0, (slots * SLOT_BYTES) as u64);
            encoder.clear_buffer(&self.flags.buffer, 0, None);
        }
        let index = self.flush(&mut state)?;
        drop(state);
        let mapped = Arc::new(AtomicBool::new(false));
        let note = mapped.clone();
        staging.map_async(wgpu::MapMode::Read, 0..len + FLAGS_BYTES as u64, move |result| note.store(result.is_ok(), Relaxed));
        self.wait(index)?;
        if !mapped.load(Relaxed) {
            bail!(Runtime, "gpu:{}: device memory could not be read", self.index);
        }
        let mut found: SmallVec<[[u32; fault::WORDS]; 8]> = SmallVec::new();
        {
            let Ok(view) = staging.get_mapped_range(0..len + FLAGS_BYTES as u64) else {
                bail!(Runtime, "gpu:{}: device memory could not be read", self.index)
            };
            found.extend(view[..slots * SLOT_BYTES].chunks_exact(SLOT_BYTES).map(bytemuck::pod_read_unaligned));
            let from = FLAGS_BYTES + offset - start;
            to.copy_from_slice(&view[from..from + to.len()]);
        }
        staging.unmap();
        let mut state = self.lock();
        state.staging.entry(class).or_default().push(staging);
        state.faults.note(window, &found, self.index);
        state.faults.error(blame, window).map_or(Ok(()), Err)
    }

    /// Forgets what kernels found wrong: what came of it is read as it is. For tests.
    pub fn forget_faults(&self) {
        self.lock().faults.forget();
    }

    /// Records a kernel over `groups` workgroups. `buffers` are those that the shader names, in its order.
    /// The shader is made only where the cache has none under `key`. `overwrites`: nothing is left of what the written buffers held.
    pub(crate) fn run_cached(
        &self,
        key: &[u8],
        overwrites: bool,
        make: impl FnOnce() -> Shader,
        buffers: &[&Buffer],
        params: &[u32],
        groups: u64,
    ) -> Result<()> {
        if groups == 0 {
            return Ok(());
        }
        self.check()?;
        let mut guard = self.lock();
        let state = &mut *guard;
        let pipeline = match state.pipelines.get(key) {
            Some(pipeline) => pipeline.clone(),
            None => {
                let shader = make();
                let bytes = 4 * (params.len() + shader.flags as usize);
                assert!(bytes <= MAX_PARAMS_BYTES, "{}: too many parameters", shader.key);
                let immediates = bytes <= self.immediate_bytes;
                if self.index == CHECKER && immediates {
                    self.compile(state, &shader, false)?;
                }
                let pipeline = Arc::new(self.compile(state, &shader, immediates)?);
                state.pipelines.insert(key.into(), pipeline.clone());
                pipeline
            }
        };
        let ids: SmallVec<[u64; 8]> = buffers.iter().map(|b| b.id()).chain(pipeline.flags.then_some(self.flags.id)).collect();
        assert_eq!(ids.len(), pipeline.writes.len(), "{}: buffers", pipeline.label);
        for (i, writes) in pipeline.writes.iter().enumerate() {
            if *writes && ids.iter().enumerate().any(|(j, id)| i != j && *id == ids[i]) {
                bail!(Runtime, "gpu: {} would read and write one buffer", pipeline.label);
            }
        }
        if state.bind_groups.len() > MAX_BIND_GROUPS {
            state.bind_groups.clear();
        }
        let group = state.bind_groups.entry((pipeline.layout_id, ids)).or_insert_with(|| {
            let flags = pipeline.flags.then_some(&self.flags);
            let mut entries: SmallVec<[wgpu::BindGroupEntry; 8]> = buffers
                .iter()
                .map(|b| b.raw())
                .chain(flags)
                .enumerate()
                .map(|(i, raw)| wgpu::BindGroupEntry { binding: i as u32 + 1, resource: raw.buffer.as_entire_binding() })
                .collect();
            if !pipeline.immediates {
                entries.push(wgpu::BindGroupEntry {
                    binding: 0,
                    resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                        buffer: &self.params,
                        offset: 0,
                        size: std::num::NonZero::new(MAX_PARAMS_BYTES as u64),
                    }),
                });
            }
            self.device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &pipeline.layout.0, entries: &entries })
        });
        buffers.iter().for_each(|b| b.raw().used.store(state.serial, Relaxed));
        let mut blame = fault::taken(self.index, &state.faults);
        for (buffer, writes) in buffers.iter().zip(&pipeline.writes) {
            if !(overwrites && *writes) {
                blame.join(buffer.raw().source.blame(&state.faults));
            }
        }
        let mut with_slot: SmallVec<[u32; 64]>;
        let mut params = params;
        if pipeline.flags {
            let slot = state.faults.next_slot();
            blame.add_slot(slot);
            with_slot = params.into();
            with_slot.push((slot * fault::WORDS) as u32);
            params = &with_slot;
        }
        let mut written = buffers.iter().zip(&pipeline.writes).filter(|(_, writes)| **writes).peekable();
        if written.peek().is_none() {
            fault::put_off(blame, self.index, &state.faults);
        }
        written.for_each(|(buffer, _)| buffer.raw().source.set(blame, &state.faults));
        let offset = state.params.len();
        if !pipeline.immediates {
            state.params.extend_from_slice(bytemuck::cast_slice(params));
            state.params.resize(state.params.len().next_multiple_of(PARAMS_STEP_BYTES), 0);
        }
        let encoder = state.encoder.get_or_insert_with(|| self.device.create_command_encoder(&Default::default()));
        if let Some(profile) = &mut state.profile {
            state.pass = None;
            let at = 2 * profile.recorded.len() as u32;
            profile.recorded.push(pipeline.label.clone());
            let timestamp_writes = Some(wgpu::ComputePassTimestampWrites {
                query_set: &profile.queries,
                beginning_of_pass_write_index: Some(at),
                end_of_pass_write_index: Some(at + 1),
            });
            let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
            state.pass = Some(encoder.begin_compute_pass(&descriptor).forget_lifetime());
        }
        let pass = state.pass.get_or_insert_with(|| encoder.begin_compute_pass(&Default::default()).forget_lifetime());
        pass.set_pipeline(&pipeline.pipeline);
        if pipeline.immediates {
            pass.set_bind_group(0, &*group, &[]);
            pass.set_immediates(0, bytemuck::cast_slice(params));
        } else {
            pass.set_bind_group(0, &*group, &[offset as u32]);
        }
        // A grid's side is limited: the rest goes into the second dimension.
        let side = self.limits.max_compute_workgroups_per_dimension as u64;
        let rows = groups.div_ceil(side);
        if rows > side {
            bail!(Runtime, "gpu: {} needs {groups} workgroups, over this adapter's limit", pipeline.label);
        }
        pass.dispatch_workgroups(groups.div_ceil(rows) as u32, rows as u32, 1);
        self.dispatches.fetch_add(1, Relaxed);
        state.recorded += 1;
        if state.recorded >= FLUSH_AFTER {
            self.flush(state)?;
        }
        Ok(())
    }

    fn compile(&self, state: &mut State, shader: &Shader, immediates: bool) -> Result<Pipeline> {
        let kinds: SmallVec<[bool; 8]> = shader.bindings.iter().map(|b| b.writes).collect();
        let layout = state
            .layouts
            .entry((kinds.clone(), immediates))
            .or_insert_with(|| {
                let entry = |binding: u32, ty| wgpu::BindGroupLayoutEntry {
                    binding,
                    visibility: wgpu::ShaderStages::COMPUTE,
                    ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: binding == 0, min_binding_size: None },
                    count: None,
                };
                let mut entries = Vec::new();
                if !immediates {
                    entries.push(entry(0, wgpu::BufferBindingType::Uniform));
                }
                for (i, writes) in kinds.iter().enumerate() {
                    entries.push(entry(i as u32 + 1, wgpu::BufferBindingType::Storage { read_only: !writes }));
                }
                let group = self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
                let pipeline = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                    label: None,
                    bind_group_layouts: &[Some(&group)],
                    immediate_size: if immediates { self.immediate_bytes as u32 } else { 0 },
                });
                Arc::new((group, pipeline))
            })
            .clone();
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let source = shader.wgsl(immediates);
        if self.index == CHECKER
            && let Some(watch) = WATCH.get()
        {
            watch(&shader.key, &source);
        }
        // Checked shaders: indices outside of a buffer never reach other memory, whatever the kernel computes.
        let mut checks = if shader.unchecked { wgpu::ShaderRuntimeChecks::unchecked() } else { wgpu::ShaderRuntimeChecks::checked() };
        checks.force_loop_bounding = false;
        let descriptor = wgpu::ShaderModuleDescriptor { label: Some(&shader.key), source: wgpu::ShaderSource::Wgsl(source.into()) };
        // SAFETY: every loop of a kernel counts to a size below 2^31 in steps of at most 2^16, so that all end. Kernels without index
        // checks compute their indices from shapes and strides, which lie inside of their arrays, and divide by sizes over 0.
        let module = unsafe { self.device.create_shader_module_trusted(descriptor, checks) };
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&shader.key),
            layout: Some(&layout.1),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions { zero_initialize_workgroup_memory: false, ..Default::default() },
            cache: None,
        });
        if let Some(error) = pollster::block_on(scope.pop()) {
            bail!(Runtime, "gpu: the shader of {} was refused: {error}", shader.key);
        }
        let layout_id = Arc::as_ptr(&layout) as u64;
        Ok(Pipeline { label: shader.key.clone(), pipeline, layout, layout_id, writes: kinds, flags: shader.flags, immediates })
    }
}

struct Wgpu;

impl Backend for Wgpu {
    fn allocate(&self, index: u16, len_bytes: usize, zeroed: bool) -> Result<Box<dyn DeviceBuffer>> {
        Ok(Box::new(gpu(index)?.allocate(len_bytes, zeroed)?))
    }
}

/// Makes `Device::Gpu` known to tensors. No driver is touched before the first tensor on it.
pub fn register() {
    rustnn_tensor::device::register(&Wgpu);
}
