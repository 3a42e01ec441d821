//! Normalisation.

use super::module::class_over;
use super::{Buffer, Forward, Member, Module, Parameter, Part, PartMut, Training, init};
use crate::tensor::signed;
use crate::{DType, Error, Result, Tensor};
use rustnn_ops::norm;

/// Normalisation over the last dimensions. Ba et al. 2016, arXiv:1607.06450.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{Forward, LayerNorm}};
/// let y = LayerNorm::new([4])?.forward(&Tensor::rand([3, 4])?)?;
/// assert!(y.sum()?.item::<f32>()?.abs() < 1e-5);
/// # Ok(())
/// # }
/// ```
#[derive(Module)]
pub struct LayerNorm {
    /// Of the normalised shape.
    pub weight: Option<Parameter>,
    /// Of the normalised shape.
    pub bias: Option<Parameter>,
    #[module(skip)]
    shape: Vec<i64>,
    eps: f64,
}

impl LayerNorm {
    /// Over the last dimensions, which have these sizes; eps 1e-5, with weight and bias.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn new(shape: impl AsRef<[usize]>) -> Result<LayerNorm> {
        LayerNorm::with(shape, 1e-5, true)
    }

    /// [`new`](LayerNorm::new), with or without a bias.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn with(shape: impl AsRef<[usize]>, eps: f64, bias: bool) -> Result<LayerNorm> {
        let shape = shape.as_ref();
        let bias = if bias { Some(init::constant(shape, 0.0)?) } else { None };
        Ok(LayerNorm { weight: Some(init::constant(shape, 1.0)?), bias, shape: signed(shape), eps })
    }
}

fn op(p: &Option<Parameter>) -> Option<&rustnn_ops::Tensor> {
    p.as_ref().map(|p| p.as_op())
}

impl Forward for LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(norm::layer_norm(x.as_op(), &self.shape, op(&self.weight), op(&self.bias), self.eps)?.into())
    }
}

/// Division by the root mean square of the last dimensions. Zhang and Sennrich 2019, arXiv:1910.07467.
#[derive(Module)]
pub struct RMSNorm {
    /// Of the normalised shape.
    pub weight: Option<Parameter>,
    #[module(skip)]
    shape: Vec<i64>,
    #[module(skip)]
    eps: Option<f64>,
}

impl RMSNorm {
    /// Over the last dimensions, which have these sizes; `eps` is by default that of the input's dtype.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn new(shape: impl AsRef<[usize]>, eps: Option<f64>) -> Result<RMSNorm> {
        let shape = shape.as_ref();
        Ok(RMSNorm { weight: Some(init::constant(shape, 1.0)?), shape: signed(shape), eps })
    }
}

impl Forward for RMSNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(norm::rms_norm(x.as_op(), &self.shape, op(&self.weight), self.eps)?.into())
    }
}

/// Normalisation of groups of channels of each sample: (N, C, …). Wu and He 2018, arXiv:1803.08494.
#[derive(Module)]
pub struct GroupNorm {
    /// (C).
    pub weight: Option<Parameter>,
    /// (C).
    pub bias: Option<Parameter>,
    groups: usize,
    eps: f64,
}

impl GroupNorm {
    /// `groups` groups of `channels` channels, eps 1e-5.
    ///
    /// # Errors
    /// If the groups do not divide the channels.
    pub fn new(groups: usize, channels: usize) -> Result<GroupNorm> {
        GroupNorm::with(groups, channels, 1e-5, true)
    }

    /// [`new`](GroupNorm::new) with another eps; with or without weight and bias.
    ///
    /// # Errors
    /// If the groups do not divide the channels.
    pub fn with(groups: usize, channels: usize, eps: f64, affine: bool) -> Result<GroupNorm> {
        if groups == 0 || channels % groups != 0 {
            return Err(Error::value("num_channels must be divisible by num_groups"));
        }
        let constant = |value| if affine { init::constant(&[channels], value).map(Some) } else { Ok(None) };
        Ok(GroupNorm { weight: constant(1.0)?, bias: constant(0.0)?, groups, eps })
    }
}

impl Forward for GroupNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(norm::group_norm(x.as_op(), signed(&[self.groups])[0], op(&self.weight), op(&self.bias), self.eps)?.into())
    }
}

/// The settings of batch and instance normalisation.
#[derive(Clone, Copy, Debug)]
pub struct NormOptions {
    /// Added to the variance.
    pub eps: f64,
    /// The share of a batch in the running statistics; none for their plain average.
    pub momentum: Option<f64>,
    /// Whether there are a weight and a bias for each channel.
    pub affine: bool,
    /// Whether there are running statistics, which replace the batch's in evaluation.
    pub track_running_stats: bool,
}

impl NormOptions {
    const BATCH: NormOptions = NormOptions { eps: 1e-5, momentum: Some(0.1), affine: true, track_running_stats: true };
    const INSTANCE: NormOptions = NormOptions { affine: false, track_running_stats: false, ..NormOptions::BATCH };
}

/// PyTorch's settings of batch normalisation.
impl Default for NormOptions {
    fn default() -> NormOptions {
        NormOptions::BATCH
    }
}

/// What both normalisations have.
struct ChannelNorm {
    weight: Option<Parameter>,
    bias: Option<Parameter>,
    running_mean: Option<Buffer>,
    running_var: Option<Buffer>,
    num_batches_tracked: Option<Buffer>,
    channels: usize,
    options: NormOptions,
    training: Training,
}

impl ChannelNorm {
    fn new(channels: usize, options: NormOptions) -> Result<ChannelNorm> {
        let constant = |value, wanted| if wanted { init::constant(&[channels], value).map(Some) } else { Ok(None) };
        let buffer = |value| -> Result<Option<Buffer>> {
            Ok(if options.track_running_stats { Some(Buffer::new(Tensor::full([channels], value, DType::F32)?)) } else { None })
        };
        let count = if options.track_running_stats { Some(Buffer::new(Tensor::scalar(0i64)?)) } else { None };
        Ok(ChannelNorm {
            weight: constant(1.0, options.affine)?,
            bias: constant(0.0, options.affine)?,
            running_mean: buffer(0.0)?,
            running_var: buffer(1.0)?,
            num_batches_tracked: count,
            channels,
            options,
            training: Training::default(),
        })
    }

    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&str, Part<'a>)) {
        self.weight.visit("weight", visit);
        self.bias.visit("bias", visit);
        self.running_mean.visit("running_mean", visit);
        self.running_var.visit("running_var", visit);
        self.num_batches_tracked.visit("num_batches_tracked", visit);
        self.training.visit("training", visit);
    }

    fn visit_mut(&mut self, visit: &mut dyn FnMut(&str, PartMut<'_>)) {
        self.weight.visit_mut("weight", visit);
        self.bias.visit_mut("bias", visit);
        self.running_mean.visit_mut("running_mean", visit);
        self.running_var.visit_mut("running_var", visit);
        self.num_batches_tracked.visit_mut("num_batches_tracked", visit);
        self.training.visit_mut("training", visit);
    }

    fn running(&self) -> norm::Running<'_> {
        norm::Running { mean: self.running_mean.as_ref().map(|b| b.as_op()), var: self.running_var.as_ref().map(|b| b.as_op()) }
    }

    /// Whether the input's own statistics count.
    fn by_input(&self) -> bool {
        self.training.is_on() || self.running_mean.is_none()
    }

    /// Batch normalisation of (N, C, …).
    fn over_batch(&self, x: &Tensor) -> Result<Tensor> {
        let ChannelNorm { options, training, .. } = self;
        let mut momentum = options.momentum.unwrap_or(0.0);
        let moves = training.is_on() && options.track_running_stats;
        if moves && let Some(count) = &self.num_batches_tracked {
            count.add_(1, 1.0)?;
            if options.momentum.is_none() {
                momentum = 1.0 / count.item::<i64>()? as f64;
            }
        }
        let own = self.by_input();
        if own && x.numel() / self.channels.max(1) == 1 {
            let sizes: Vec<String> = x.shape().iter().map(usize::to_string).collect();
            let sizes = sizes.join(", ");
            return Err(Error::value(format!(
                "Expected more than 1 value per channel when training, got input size torch.Size([{sizes}])"
            )));
        }
        let (weight, bias) = (op(&self.weight), op(&self.bias));
        Ok(norm::batch_norm(x.as_op(), self.running(), weight, bias, own, momentum, options.eps)?.into())
    }

    fn check_channels(&self, x: &Tensor, dim: usize) -> Result<()> {
        match x.shape().get(dim) {
            Some(&n) if n == self.channels => Ok(()),
            _ => Err(Error::value(format!("expected {} channels in dimension {dim}, got input of shape {:?}", self.channels, x.shape()))),
        }
    }
}

fn expect_rank(x: &Tensor, ranks: &[usize]) -> Result<()> {
    if ranks.contains(&x.rank()) {
        return Ok(());
    }
    let wanted: Vec<String> = ranks.iter().map(|r| format!("{r}D")).collect();
    Err(Error::value(format!("expected {} input (got {}D input)", wanted.join(" or "), x.rank())))
}

/// Normalisation of each channel over the batch and `N` dimensions: (N, C, …). Ioffe and Szegedy 2015, arXiv:1502.03167.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{BatchNorm2d, Forward, Module}};
/// let mut norm = BatchNorm2d::new(3)?;
/// let y = norm.forward(&Tensor::rand([2, 3, 4, 4])?)?;
/// assert!(y.mean()?.item::<f32>()?.abs() < 1e-5);
/// assert_eq!(norm.state_dict()?.get("num_batches_tracked").unwrap().item::<i64>()?, 1);
/// norm.eval();
/// # Ok(())
/// # }
/// ```
pub struct BatchNorm<const N: usize>(ChannelNorm);

/// [`BatchNorm`] of (N, C) or (N, C, L).
pub type BatchNorm1d = BatchNorm<1>;
/// [`BatchNorm`] of (N, C, H, W).
pub type BatchNorm2d = BatchNorm<2>;
/// [`BatchNorm`] of (N, C, D, H, W).
pub type BatchNorm3d = BatchNorm<3>;

impl<const N: usize> BatchNorm<N> {
    /// PyTorch's settings.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn new(channels: usize) -> Result<Self> {
        Self::with(channels, NormOptions::BATCH)
    }

    /// Other settings.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn with(channels: usize, options: NormOptions) -> Result<Self> {
        Ok(BatchNorm(ChannelNorm::new(channels, options)?))
    }
}

macro_rules! channel_norm {
    ($name:ident) => {
        impl<const N: usize> Module for $name<N> {
            fn class_name(&self) -> &str {
                let name = stringify!($name);
                class_over(N, [name, concat!(stringify!($name), "1d"), concat!(stringify!($name), "2d"), concat!(stringify!($name), "3d")])
            }

            fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Part<'a>)) {
                self.0.visit(visit);
            }

            fn members_mut(&mut self, visit: &mut dyn FnMut(&str, PartMut<'_>)) {
                self.0.visit_mut(visit);
            }
        }
    };
}
channel_norm!(BatchNorm);
channel_norm!(InstanceNorm);

impl<const N: usize> Forward for BatchNorm<N> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        expect_rank(x, if N == 1 { &[2, 3] } else { std::slice::from_ref(const { &(N + 2) }) })?;
        self.0.over_batch(x)
    }
}

/// [`BatchNorm`] of any number of dimensions, at least (N, C). Where PyTorch gathers the batch's statistics over processes, of which
/// a Rust program has one, this is the layer for the states of such networks.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{Forward, SyncBatchNorm}};
/// let norm = SyncBatchNorm::new(3)?;
/// assert_eq!(norm.forward(&Tensor::rand([2, 3, 4, 4])?)?.shape(), [2, 3, 4, 4]);
/// # Ok(())
/// # }
/// ```
pub struct SyncBatchNorm(ChannelNorm);

impl SyncBatchNorm {
    /// PyTorch's settings.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn new(channels: usize) -> Result<Self> {
        Self::with(channels, NormOptions::BATCH)
    }

    /// Other settings.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn with(channels: usize, options: NormOptions) -> Result<Self> {
        Ok(SyncBatchNorm(ChannelNorm::new(channels, options)?))
    }
}

impl Module for SyncBatchNorm {
    fn class_name(&self) -> &str {
        "SyncBatchNorm"
    }

    fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Part<'a>)) {
        self.0.visit(visit);
    }

    fn members_mut(&mut self, visit: &mut dyn FnMut(&str, PartMut<'_>)) {
        self.0.visit_mut(visit);
    }
}

impl Forward for SyncBatchNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if x.rank() < 2 {
            return Err(Error::value(format!("expected at least 2D input (got {}D input)", x.rank())));
        }
        self.0.over_batch(x)
    }
}

/// Normalisation of each channel of each sample over `N` dimensions: (N, C, …) or (C, …). Ulyanov et al. 2016,
/// arXiv:1607.08022.
pub struct InstanceNorm<const N: usize>(ChannelNorm);

/// [`InstanceNorm`] of (N, C, L).
pub type InstanceNorm1d = InstanceNorm<1>;
/// [`InstanceNorm`] of (N, C, H, W).
pub type InstanceNorm2d = InstanceNorm<2>;
/// [`InstanceNorm`] of (N, C, D, H, W).
pub type InstanceNorm3d = InstanceNorm<3>;

impl<const N: usize> InstanceNorm<N> {
    /// PyTorch's settings: neither weights nor running statistics.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn new(channels: usize) -> Result<Self> {
        Self::with(channels, NormOptions::INSTANCE)
    }

    /// Other settings.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn with(channels: usize, options: NormOptions) -> Result<Self> {
        Ok(InstanceNorm(ChannelNorm::new(channels, options)?))
    }
}

impl<const N: usize> Forward for InstanceNorm<N> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        expect_rank(x, const { &[N + 1, N + 2] })?;
        if x.rank() == N + 1 {
            return self.forward(&x.unsqueeze(0)?)?.squeeze(0);
        }
        self.0.check_channels(x, 1)?;
        let momentum = self.0.options.momentum.unwrap_or(0.0);
        let (weight, bias) = (op(&self.0.weight), op(&self.0.bias));
        let own = self.0.by_input();
        Ok(norm::instance_norm(x.as_op(), self.0.running(), weight, bias, own, momentum, self.0.options.eps)?.into())
    }
}
