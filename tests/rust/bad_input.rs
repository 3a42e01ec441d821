//! Everything a caller can get wrong comes back as an error with a text that says what; nothing panics.

use rustnn::data::{DataLoader, TensorDataset};
use rustnn::export::Program;
use rustnn::nn::{self, ConvOptions, Forward, Mask, Module, NormOptions, RecurrentOptions};
use rustnn::optim::{Adam, AdamOptions, AdamW, CosineAnnealingLR, ExponentialLR, Optimizer, Schedule, Sgd, SgdOptions, StepLR};
use rustnn::{DType, Device, Error, Result, Tensor, autograd};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn ones(shape: &[usize]) -> Tensor {
    Tensor::ones(shape).unwrap()
}

fn of(dtype: DType, shape: &[usize]) -> Tensor {
    Tensor::full(shape, 1.0, dtype).unwrap()
}

/// What is wrong, the call, and what the error's text has to name.
type Case = (&'static str, Box<dyn Fn() -> Result<()>>, &'static str);

fn case<T>(what: &'static str, call: impl Fn() -> Result<T> + 'static, names: &'static str) -> Case {
    (what, Box::new(move || call().map(drop)), names)
}

fn empty(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape).unwrap()
}

fn parameter() -> Vec<nn::Parameter> {
    vec![nn::Parameter::new(ones(&[2])).unwrap()]
}

fn bags(mode: nn::BagMode) -> nn::EmbeddingBag {
    nn::EmbeddingBag::new(3, 2, mode).unwrap()
}

fn padded(row: usize) -> nn::EmbeddingOptions {
    nn::EmbeddingOptions { padding_idx: Some(row), ..Default::default() }
}

fn adaptive() -> nn::AdaptiveLogSoftmaxWithLoss {
    nn::AdaptiveLogSoftmaxWithLoss::new(8, 20, &[5]).unwrap()
}

fn transformer() -> nn::Transformer {
    nn::Transformer::with(8, 2, 1, 1, nn::TransformerOptions { dim_feedforward: 4, ..Default::default() }).unwrap()
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    vec![
        // Making tensors.
        case("too few elements", || Tensor::new(&[1.0f32], [2]), "shape '[2]' is invalid for input of size 1"),
        case("sizes that overflow", || Tensor::zeros([usize::MAX, 2]), "overflow"),
        case("more memory than there is", || Tensor::zeros([1 << 50]), "memory"),
        case("bytes that do not fit", || Tensor::from_bytes(&[0; 7], [2], DType::F32), "7 bytes"),
        case("no tensors to join", || Tensor::cat(&[], 0), ""),
        case("tensors that do not join", || Tensor::cat(&[ones(&[2, 3]), ones(&[3, 2])], 0), ""),
        case("shapes that do not stack", || Tensor::stack(&[ones(&[2]), ones(&[3])], 0), ""),
        case("an empty range of integers", || Tensor::randint(3..3, [1]), "from=3 >= to=3"),
        case("another element type", || ones(&[1]).to_vec::<f64>(), "Double"),
        case("an item of many", || ones(&[2]).item::<f32>(), "2 elements"),
        case("a device that is not there", || ones(&[1]).to_device(Device::Gpu(9)), ""),
        case("data of the meta device", || ones(&[1]).to_device(Device::Meta)?.to_vec::<f32>(), "meta"),
        case("a value that the dtype does not hold", || Tensor::full([1], f64::NAN, DType::I64), "overflow"),
        case("a value beyond 64 bits", || Tensor::full([1], 1e300, DType::I64), "overflow"),
        case("a value beyond 8 bits", || Tensor::full([1], 300.0, DType::U8), "overflow"),
        case("an identity larger than memory", || Tensor::eye(1 << 40), ""),
        case("more steps than there is memory", || Tensor::linspace(0.0, 1.0, usize::MAX), ""),
        case("an order of more than there is memory", || Tensor::randperm(usize::MAX), ""),
        case("more integers than there is memory", || Tensor::arange(i64::MIN..i64::MAX), ""),
        case("normal numbers of sizes that overflow", || Tensor::randn([usize::MAX, 3]), "overflow"),
        case("bytes of sizes that overflow", || Tensor::from_bytes(&[], [usize::MAX, 3], DType::F32), ""),
        case("elements of sizes that overflow", || Tensor::new::<f32>(&[], [usize::MAX, 3]), ""),
        // Shapes.
        case("shapes that do not broadcast", || ones(&[2]).add(&ones(&[3])), "must match the size"),
        case("matrices that do not fit", || ones(&[2, 3]).matmul(&ones(&[2, 3])), ""),
        case("a dimension out of range", || ones(&[2]).sum_dim(&[3], false), "Dimension out of range"),
        case("a size of what is not there", || ones(&[2]).size(4), "Dimension out of range"),
        case("a size of a scalar", || ones(&[]).size(0), ""),
        case("a shape of other size", || ones(&[6]).reshape([4, -1]), "invalid"),
        case("two unknown sizes", || ones(&[6]).reshape([-1, -1]), ""),
        case("an index out of range", || ones(&[2]).select(0, 5), "out of range"),
        case("a narrow past the end", || ones(&[2]).narrow(0, 1, 5), ""),
        case("an order of other dimensions", || ones(&[2, 2]).permute([0, 0]), ""),
        case("an expansion of two", || ones(&[2]).expand([3]), "must match the existing size"),
        case("pieces of nothing", || ones(&[2]).split(0, 0), ""),
        case("no chunks", || ones(&[2]).chunk(0, 0), ""),
        case("indices of floats", || ones(&[2]).index_select(0, &ones(&[1])), ""),
        case("an index past the end", || ones(&[2]).index_select(0, &of(DType::I64, &[1]).mul(7)?), ""),
        case("a gather past the end", || ones(&[2]).gather(0, &of(DType::I64, &[1]).mul(7)?), ""),
        case("an equation of other operands", || Tensor::einsum("ij,jk->ik", &[ones(&[2, 2])]), ""),
        case("an equation of nonsense", || Tensor::einsum("i→", &[ones(&[2])]), ""),
        case("an equation without an end", || Tensor::einsum("ij->", &[ones(&[2])]), ""),
        case("an equation of too many letters", || Tensor::einsum("abcdefghijk->a", &[ones(&[2, 2])]), ""),
        case("no operands", || Tensor::einsum("", &[]), ""),
        case("a transposition past the end", || ones(&[2]).transpose(0, 1), "Dimension out of range"),
        case("a new dimension past the end", || ones(&[2]).unsqueeze(5), "Dimension out of range"),
        case("a squeeze past the end", || ones(&[2]).squeeze(5), "Dimension out of range"),
        case("a flattening backwards", || ones(&[2, 3, 4]).flatten(2, 1), "start_dim"),
        case("sizes that are no part", || ones(&[6]).unflatten(0, [4, -1]), ""),
        case("a reversal past the end", || ones(&[2]).flip(&[1]), "Dimension out of range"),
        case("a reversal twice", || ones(&[2, 2]).flip(&[0, 0]), ""),
        case("pieces past the last dimension", || ones(&[2]).chunk(2, 1), "Dimension out of range"),
        case("parts past the last dimension", || ones(&[2]).unbind(1), "Dimension out of range"),
        case("the parts of a scalar", || ones(&[]).unbind(0), ""),
        case("a triangle of a vector", || ones(&[2]).triu(0), "at least 2 dimensions"),
        case("a narrow before the start", || ones(&[2]).narrow(0, -5, 1), ""),
        case("an index before the start", || ones(&[2]).select(0, -3), "out of range"),
        case("an index of a scalar", || ones(&[]).select(0, 0), ""),
        case("an index before the start of a list", || ones(&[2]).index_select(0, &of(DType::I64, &[1]).mul(-7)?), ""),
        case("a gather of another rank", || ones(&[2, 2]).gather(0, &of(DType::I64, &[1])), ""),
        case("a shape beyond 64 bits", || ones(&[1]).expand([i64::MAX, i64::MAX, 1]), ""),
        case("a reshape beyond 64 bits", || ones(&[1]).reshape([i64::MAX, i64::MAX]), ""),
        case("a negative size", || ones(&[2]).reshape([-2]), ""),
        case("the greatest of nothing", || ones(&[0]).max_dim(0, false), ""),
        case("the place of the greatest of nothing", || ones(&[0]).argmax(0), ""),
        case("a variance past the end", || ones(&[2]).var_dim(&[1], 1.0, false), "Dimension out of range"),
        case("one dimension twice", || ones(&[2, 2]).sum_dim(&[0, 0], false), ""),
        case("a copy of a view too large for memory", || ones(&[1]).expand([1 << 50])?.copy(), "memory"),
        case("elements of a view too large for memory", || ones(&[1]).expand([1 << 50])?.to_vec::<f32>(), "memory"),
        case("a write of another shape", || ones(&[2]).copy_(&ones(&[3])), ""),
        case("a sum into another shape", || ones(&[2]).add_(&ones(&[3]), 1.0), ""),
        case("a product into a smaller shape", || ones(&[1]).mul_(&ones(&[3])), ""),
        case("a write into a view of one element", || ones(&[1]).expand([3])?.add_(&ones(&[3]), 1.0), "single memory location"),
        case("more of the greatest than there are", || ones(&[2]).topk(3, 0), ""),
        case("an order past the end", || ones(&[2]).sort(1, false), "Dimension out of range"),
        case("sums past the end", || ones(&[2]).cumsum(1), "Dimension out of range"),
        case("the least of nothing", || ones(&[0]).min_dim(0, false), ""),
        case("the place of the least of nothing", || ones(&[0]).argmin(0), ""),
        case("rows at an index past the end", || ones(&[2]).index_add(0, &of(DType::I64, &[1]).mul(7)?, &ones(&[1])), ""),
        case("a mask of another shape for a selection", || ones(&[2]).masked_select(&of(DType::Bool, &[3])), ""),
        case("a selection by floats", || ones(&[2]).masked_select(&ones(&[2])), ""),
        case("a class past the last", || of(DType::I64, &[1]).mul(3)?.one_hot(2), ""),
        case("a class before the first", || of(DType::I64, &[1]).mul(-1)?.one_hot(2), ""),
        case("classes of floats", || ones(&[1]).one_hot(2), ""),
        case("more classes than there is memory", || of(DType::I64, &[1]).one_hot(usize::MAX), ""),
        case("fewer repeats than dimensions", || ones(&[2, 2]).repeat([2]), ""),
        case("negative repeats", || ones(&[2]).repeat([-1]), ""),
        case("repeats beyond memory", || ones(&[2]).repeat([i64::MAX]), ""),
        case("a norm of integers", || of(DType::I64, &[2]).norm(), ""),
        // Sizes that cost no memory: of what is empty or expanded.
        case("sizes that overflow but for a 0", || Tensor::zeros([1 << 62, 8, 0]), "overflow"),
        case("a size beyond 63 bits of nothing", || Tensor::zeros([usize::MAX, 0]), "overflow"),
        case("a join longer than 64 bits", || Tensor::cat(&vec![empty(&[i64::MAX as usize, 0]); 3], 0), "overflow"),
        case("a stack larger than 64 bits", || Tensor::stack(&vec![empty(&[1 << 62, 0]); 8], 0), "overflow"),
        case("a border of nothing larger than 64 bits", || nn::ZeroPad2d::new(1 << 31).forward(&empty(&[1, 0, 4, 4])), "overflow"),
        case("a reshape of nothing larger than 64 bits", || empty(&[0]).reshape([0, i64::MAX, 2]), "overflow"),
        case("an unflattening of nothing larger than 64 bits", || empty(&[0, 1 << 62]).unflatten(0, [0, 4]), "overflow"),
        case("an expansion of nothing larger than 64 bits", || empty(&[0, 1, 1]).expand([0, i64::MAX, i64::MAX]), "overflow"),
        case("norms of channels of nothing, more than there is memory", || {
            let options = NormOptions { affine: true, track_running_stats: false, ..Default::default() };
            nn::InstanceNorm1d::with(3, options)?.forward(&empty(&[1 << 40, 3, 0]))
        }, "memory"),
        case("norms of channels of nothing with running statistics", || {
            let options = NormOptions { affine: true, track_running_stats: true, ..Default::default() };
            nn::InstanceNorm1d::with(3, options)?.forward(&empty(&[1 << 60, 3, 0]))
        }, ""),
        // Dtypes.
        case("arithmetic on what is only stored", || of(DType::U8, &[8]).to_dtype(DType::F8E5M2)?.mul(2.0), ""),
        case("a softmax of integers", || of(DType::I64, &[2]).softmax(0), ""),
        case("a product of two dtypes", || ones(&[2, 2]).matmul(&of(DType::F64, &[2, 2])), ""),
        case("a mask of floats", || ones(&[2]).masked_fill(&ones(&[2]), 0.0), ""),
        case("a condition of floats", || ones(&[2]).where_(&ones(&[2]), 0.0), ""),
        case("a logarithm of what is only stored", || of(DType::U8, &[8]).to_dtype(DType::F8E5M2)?.log(), ""),
        case("floats into integers", || of(DType::I64, &[2]).add_(0.5, 1.0), ""),
        case("a mean of integers", || of(DType::I64, &[2]).mean(), ""),
        case("a dot of other lengths", || ones(&[2]).matmul(&ones(&[3])), ""),
        case("a product of scalars", || ones(&[]).matmul(&ones(&[])), ""),
        // Gradients.
        case("gradients of integers", || of(DType::I64, &[1]).requires_grad_(true), "floating point"),
        case("a parameter of integers", || nn::Parameter::new(of(DType::I64, &[1])), "floating point"),
        case("backward of what is not recorded", || ones(&[1]).backward(), "does not require grad"),
        case("backward of many", || ones(&[2]).requires_grad_(true)?.mul(2.0)?.backward(), "scalar outputs"),
        case("backward twice", || { let y = ones(&[1]).requires_grad_(true)?.square()?; y.backward()?; y.backward() }, "second time"),
        case("a write into a leaf", || ones(&[1]).requires_grad_(true)?.fill_(0.0), "leaf Variable"),
        case("a write into what was saved", || {
            let x = ones(&[1]).requires_grad_(true)?;
            let y = x.mul(2.0)?;
            let z = y.square()?;
            y.add_(1, 1.0)?;
            z.backward()
        }, "modified by an inplace operation"),
        case("a gradient of another shape", || ones(&[2]).requires_grad_(true)?.set_grad(Some(&ones(&[3]))), "size"),
        case("a gradient of another dtype", || ones(&[2]).requires_grad_(true)?.set_grad(Some(&of(DType::F64, &[2]))), ""),
        case("a gradient to keep of what has none", || ones(&[2]).retain_grad(), ""),
        case("a gradient with respect to what has none", || {
            let x = ones(&[1]);
            autograd::grad(&[&x.clone().requires_grad_(true)?.mul(2.0)?.detach()], &[&x], &[], Default::default())
        }, ""),
        case("a leaf that is none", || ones(&[1]).requires_grad_(true)?.mul(2.0)?.requires_grad_(false), "leaf"),
        case("a parameter's values of another shape", || nn::Parameter::new(ones(&[2]))?.set(&ones(&[3])), ""),
        case("more gradients than outputs", || autograd::backward(&[], &[Some(&ones(&[1]))], Default::default()), "0 outputs"),
        // Layers.
        case("features of another number", || nn::Linear::new(3, 2)?.forward(&ones(&[1, 4])), ""),
        case("features of another dtype", || nn::Linear::new(3, 2)?.forward(&of(DType::F64, &[1, 3])), ""),
        case("features of integers", || nn::Linear::new(3, 2)?.forward(&of(DType::I64, &[1, 3])), ""),
        case("a scalar", || nn::Linear::new(3, 2)?.forward(&ones(&[])), ""),
        case("a layer larger than memory", || nn::Linear::new(1 << 40, 1 << 40), ""),
        case("groups that do not divide", || nn::Conv2d::with(3, 4, 3, ConvOptions { groups: 2, ..Default::default() }), "divisible by groups"),
        case("no groups", || nn::Conv2d::with(3, 4, 3, ConvOptions { groups: 0, ..Default::default() }), "positive"),
        case("a stride of 0 transposed", || {
            nn::ConvTranspose1d::with(1, 1, 1, nn::ConvTransposeOptions { stride: 0.into(), ..Default::default() })?.forward(&ones(&[1, 1, 3]))
        }, ""),
        case("a dilation of 0", || {
            nn::Conv2d::with(1, 1, 2, ConvOptions { dilation: 0.into(), ..Default::default() })?.forward(&ones(&[1, 1, 3, 3]))
        }, ""),
        case(
            "a weight of too few dimensions, padded by reflection",
            || {
                let options = ConvOptions { padding: 1.into(), padding_mode: nn::PaddingMode::Reflect, ..Default::default() };
                let mut conv = nn::Conv2d::with(1, 1, 3, options)?;
                conv.weight = nn::Parameter::new(ones(&[3]))?;
                conv.forward(&ones(&[1, 1, 5, 5]))
            },
            "expected a weight of 4 dimensions",
        ),
        case("a kernel of 0", || nn::Conv2d::new(1, 1, 0)?.forward(&ones(&[1, 1, 3, 3])), ""),
        case("a kernel larger than memory", || nn::Conv2d::new(1, 1, usize::MAX), "overflow"),
        case("a stride out of range", || {
            nn::Conv1d::with(1, 1, 2, ConvOptions { stride: usize::MAX.into(), dilation: usize::MAX.into(), ..Default::default() })?
                .forward(&ones(&[1, 1, 3]))
        }, ""),
        case("a padding out of range", || {
            nn::Conv1d::with(1, 1, 2, ConvOptions { padding: usize::MAX.into(), ..Default::default() })?.forward(&ones(&[1, 1, 3]))
        }, ""),
        case("a padding of one kind out of range", || {
            let padding_mode = nn::PaddingMode::Replicate;
            nn::Conv1d::with(1, 1, 2, ConvOptions { padding: usize::MAX.into(), padding_mode, ..Default::default() })?.forward(&ones(&[1, 1, 3]))
        }, ""),
        case("as much around as keeps the sizes, out of range", || {
            let options = ConvOptions { padding: nn::Padding::Same, dilation: usize::MAX.into(), ..Default::default() };
            nn::Conv1d::with(1, 1, 3, ConvOptions { padding_mode: nn::PaddingMode::Replicate, ..options })?.forward(&ones(&[1, 1, 3]))
        }, ""),
        case("an output padding as large as the stride", || {
            nn::ConvTranspose1d::with(1, 1, 2, nn::ConvTransposeOptions { output_padding: 1.into(), ..Default::default() })?
                .forward(&ones(&[1, 1, 3]))
        }, "output padding"),
        case("a convolution over no dimension", || nn::Conv::<0>::new(1, 1, [])?.forward(&ones(&[1, 1])), ""),
        case("a convolution over four dimensions", || nn::Conv::<4>::new(1, 1, 1)?.forward(&ones(&[1, 1, 2, 2, 2, 2])), ""),
        case("a pool over no dimension", || nn::MaxPool::<0>::new([]).forward(&ones(&[1, 1])), ""),
        case("a pool over four dimensions", || nn::AvgPool::<4>::new(1).forward(&ones(&[1, 1, 2, 2, 2, 2])), ""),
        case("a pool of a stride of 0", || nn::MaxPool2d::with(1, 0, 0).forward(&ones(&[1, 4, 4])), "stride"),
        case("a pool larger than the image", || nn::AvgPool2d::new(5).forward(&ones(&[1, 4, 4])), ""),
        case("a pool out of range", || nn::MaxPool2d::with(usize::MAX, usize::MAX, usize::MAX).forward(&ones(&[1, 4, 4])), ""),
        case("an image of a size larger than memory", || nn::AdaptiveAvgPool2d::new(usize::MAX).forward(&ones(&[1, 4, 4])), ""),
        case("a reflection larger than the image", || nn::ReflectionPad1d::new(4).forward(&ones(&[1, 4])), "less than"),
        case("a circle run through twice", || nn::CircularPad1d::new(5).forward(&ones(&[1, 4])), "more than once"),
        case("a padding larger than memory", || nn::ReplicationPad1d::new(1 << 50).forward(&ones(&[1, 4])), "memory"),
        case("a padding beyond 64 bits", || nn::ReplicationPad1d::new(i64::MAX).forward(&ones(&[1, 4])), "too small"),
        case("a constant padding beyond 64 bits", || nn::ZeroPad1d::new(i64::MAX).forward(&ones(&[1, 4])), ""),
        case("a constant padding that cuts off everything", || nn::ZeroPad1d::new(i64::MIN).forward(&ones(&[1, 4])), "narrow"),
        case("a padding of dimensions that are not there", || nn::ZeroPad2d::new(1).forward(&ones(&[4])), "Padding length"),
        case("a mirror of a scalar", || nn::ReflectionPad1d::new(1).forward(&ones(&[])), ""),
        case("pixels of other channels", || nn::PixelShuffle { upscale_factor: 2 }.forward(&ones(&[3, 2, 2])), "divisible"),
        case("pixels by 0", || nn::PixelShuffle { upscale_factor: 0 }.forward(&ones(&[4, 2, 2])), "positive"),
        case("pixels by a factor out of range", || nn::PixelShuffle { upscale_factor: usize::MAX }.forward(&ones(&[4, 2, 2])), "positive"),
        case("pixels of an odd image", || nn::PixelUnshuffle { downscale_factor: 2 }.forward(&ones(&[1, 3, 2])), "divisible"),
        case("channels in groups that do not divide", || nn::ChannelShuffle { groups: 2 }.forward(&ones(&[1, 3, 2])), "divisible"),
        case("channels in no groups", || nn::ChannelShuffle { groups: 0 }.forward(&ones(&[1, 3, 2])), ""),
        case("an image times NaN", || nn::Upsample { scale_factor: f64::NAN, mode: Default::default() }.forward(&ones(&[1, 1, 2])), "sizes"),
        case("an image times 0", || nn::Upsample { scale_factor: 0.0, mode: Default::default() }.forward(&ones(&[1, 1, 2])), "sizes"),
        case("an image larger than memory", || nn::Upsample { scale_factor: 1e14, mode: Default::default() }.forward(&ones(&[1, 1, 2])), "memory"),
        case("an image of infinite size", || nn::Upsample { scale_factor: 1e300, mode: Default::default() }.forward(&ones(&[1, 1, 2])), "sizes"),
        case("an image of one dimension", || nn::Upsample { scale_factor: 2.0, mode: Default::default() }.forward(&ones(&[2])), "3D"),
        case("a dimension that becomes others", || nn::Unflatten { dim: 0, sizes: vec![2, 2] }.forward(&ones(&[5])), ""),
        case("a stride of 0", || nn::Conv1d::with(1, 1, 1, ConvOptions { stride: 0.into(), ..Default::default() })?.forward(&ones(&[1, 1, 3])), "stride"),
        case("a kernel larger than the image", || nn::Conv2d::new(1, 1, 5)?.forward(&ones(&[1, 1, 3, 3])), "Kernel size"),
        case("channels of another number", || nn::Conv2d::new(2, 1, 1)?.forward(&ones(&[1, 3, 3, 3])), "channels"),
        case("images without channels", || nn::Conv2d::new(1, 1, 1)?.forward(&ones(&[3, 3])), ""),
        case("a pool of nothing", || nn::MaxPool2d::new(0).forward(&ones(&[1, 4, 4])), "kernel size"),
        case("a pool with much padding", || nn::MaxPool2d::with(2, 2, 2).forward(&ones(&[1, 4, 4])), "pad"),
        case("a batch of one value", || nn::BatchNorm1d::new(2)?.forward(&ones(&[1, 2])), "more than 1 value per channel"),
        case("a norm of another rank", || nn::BatchNorm2d::new(2)?.forward(&ones(&[1, 2])), "4D"),
        case("a norm of other channels", || nn::InstanceNorm1d::with(2, NormOptions::default())?.forward(&ones(&[1, 3, 4])), "2 channels"),
        case("a norm of another shape", || nn::LayerNorm::new([3])?.forward(&ones(&[2, 4])), "normalized_shape"),
        case("groups of channels that do not divide", || nn::GroupNorm::new(2, 3), "divisible"),
        case("an index past the table", || nn::Embedding::new(3, 2)?.forward(&of(DType::I64, &[1]).mul(3)?), "out of range"),
        case("a table larger than memory", || nn::Embedding::new(usize::MAX, 2), "overflow"),
        case("a padding past the table of bags", || nn::EmbeddingBag::with(3, 2, nn::BagMode::Sum, padded(3)), "num_embeddings"),
        case("bags that begin late", || bags(nn::BagMode::Sum).forward_bags(&of(DType::I64, &[2]), &[1], None), "offsets[0]"),
        case("bags that begin past the end", || bags(nn::BagMode::Sum).forward_bags(&of(DType::I64, &[2]), &[0, 3], None), "rise"),
        case("bags that run backwards", || bags(nn::BagMode::Sum).forward_bags(&of(DType::I64, &[2]), &[0, 2, 1], None), "rise"),
        case("bags of an index past the table", || bags(nn::BagMode::Max).forward_bags(&of(DType::I64, &[2]).mul(9)?, &[0], None), "out of range"),
        case("bags of more indices than there is memory", || bags(nn::BagMode::Sum).forward_bags(&of(DType::I64, &[1]).expand([1 << 50])?, &[0], None), "memory"),
        case("weights of other indices", || bags(nn::BagMode::Sum).forward_bags(&of(DType::I64, &[2]), &[0], Some(&ones(&[1]))), "same shape"),
        case("weights in a mean", || bags(nn::BagMode::Mean).forward_bags(&of(DType::I64, &[2]), &[0], Some(&ones(&[2]))), "sum"),
        case("a bag of one dimension", || nn::EmbeddingBag::new(3, 2, nn::BagMode::Sum)?.forward(&of(DType::I64, &[2])), "2D"),
        case("a cell's state of another shape", || nn::GRUCell::new(3, 4)?.forward(&ones(&[2, 3]), Some(&ones(&[3, 4]))), "hidden size"),
        case("a cell's input of a sequence", || nn::LSTMCell::new(3, 4)?.forward(&ones(&[5, 2, 3]), None), "1D or 2D"),
        case("a negative index", || nn::Embedding::new(3, 2)?.forward(&of(DType::I64, &[1]).mul(-1)?), "out of range"),
        case("an index of floats", || nn::Embedding::new(3, 2)?.forward(&ones(&[1])), "Long"),
        case("a maximum with gradients by frequency", || {
            nn::EmbeddingBag::with(3, 2, nn::BagMode::Max, nn::EmbeddingOptions { scale_grad_by_freq: true, ..Default::default() })
        }, "max mode"),
        case("an index past a table of bounded rows", || {
            let options = nn::EmbeddingOptions { max_norm: Some(1.0), ..Default::default() };
            nn::Embedding::with(3, 2, options)?.forward(&of(DType::I64, &[1]).mul(3)?)
        }, "out of range"),
        case("a padding past the table", || nn::Embedding::with(3, 2, padded(3)), "num_embeddings"),
        case("no probability", || nn::Dropout::new(1.5), "1.5"),
        case("NaN for a probability", || nn::Dropout::new(f64::NAN), "NaN"),
        case("heads that do not divide", || nn::MultiheadAttention::new(7, 2), "divisible"),
        case("no heads", || nn::MultiheadAttention::new(8, 0), "greater than 0"),
        case("attention to another width", || {
            let x = ones(&[1, 2, 6]);
            nn::MultiheadAttention::new(8, 2)?.forward(&x, &x, &x, Mask::None)
        }, ""),
        case("a sequence of another rank", || nn::TransformerEncoderLayer::new(8, 2)?.forward(&ones(&[8])), "3 dimensions"),
        case("a width that overflows", || nn::MultiheadAttention::new(usize::MAX, 1), "too large"),
        case("a dropout that is no probability", || {
            nn::MultiheadAttention::with(8, 2, nn::AttentionOptions { dropout: 2.0, ..Default::default() })
        }, "probability"),
        case("keys of another width", || {
            let attention = nn::MultiheadAttention::with(8, 2, nn::AttentionOptions { kdim: Some(3), ..Default::default() })?;
            let x = ones(&[1, 2, 8]);
            attention.forward(&x, &x, &x, Mask::None)
        }, ""),
        case("a mask of another shape", || {
            let x = ones(&[1, 2, 8]);
            nn::MultiheadAttention::new(8, 2)?.forward(&x, &x, &x, Mask::Tensor(&ones(&[3, 3])))
        }, ""),
        case("a mask of another shape for further keys", || {
            let x = ones(&[1, 2, 8]);
            let options = nn::AttentionOptions { add_zero_attn: true, ..Default::default() };
            nn::MultiheadAttention::with(8, 2, options)?.forward(&x, &x, &x, Mask::Tensor(&ones(&[3, 3])))
        }, ""),
        case("a mask without dimensions for further keys", || {
            let x = ones(&[1, 2, 8]);
            let options = nn::AttentionOptions { add_zero_attn: true, ..Default::default() };
            nn::MultiheadAttention::with(8, 2, options)?.forward(&x, &x, &x, Mask::Tensor(&ones(&[])))
        }, "at least one dimension"),
        case("attention of vectors", || nn::scaled_dot_product_attention(&ones(&[2]), &ones(&[2]), &ones(&[2]), Mask::None), "2 dimensional"),
        case("a memory of another width", || nn::TransformerDecoder::new(8, 2, 1)?.forward(&ones(&[1, 2, 8]), &ones(&[1, 2, 6]), Mask::None, Mask::None), ""),
        case("a source of another batch", || transformer().forward(&ones(&[1, 2, 8]), &ones(&[2, 2, 8]), Default::default()), "batch number"),
        case("a source of another width", || transformer().forward(&ones(&[1, 2, 6]), &ones(&[1, 2, 8]), Default::default()), "feature number"),
        case("a source without a batch", || transformer().forward(&ones(&[2, 8]), &ones(&[2, 8]), Default::default()), "3 dimensions"),
        case("heads that do not divide a transformer", || nn::Transformer::new(7, 2), "divisible"),
        case("a hidden size that overflows", || nn::LSTM::new(3, usize::MAX / 2), "overflow"),
        case("a cell's size that overflows", || nn::GRUCell::new(3, usize::MAX / 2), "overflow"),
        case("a cell without a state", || nn::GRUCell::new(3, 0), ""),
        case("no layers", || nn::LSTM::with(3, 4, RecurrentOptions { num_layers: 0, ..Default::default() }), "num_layers"),
        case("a projection that is no smaller", || nn::LSTM::with(3, 4, RecurrentOptions { proj_size: 4, ..Default::default() }), "proj_size"),
        case("a dropout between layers that is none", || nn::LSTM::with(3, 4, RecurrentOptions { dropout: -1.0, ..Default::default() }), "dropout"),
        case("a hidden size of 0", || nn::LSTM::new(3, 0), "hidden_size"),
        case("a projection of a GRU", || nn::GRU::with(3, 4, RecurrentOptions { proj_size: 2, ..Default::default() }), "proj_size"),
        case("an input of another size", || nn::GRU::new(3, 4)?.forward(&ones(&[5, 2, 4]), None), "Expected 3, got 4"),
        case("a state of another shape", || nn::RNN::new(3, 4)?.forward(&ones(&[5, 2, 3]), Some(&ones(&[1, 3, 4]))), "hidden"),
        case("no sequence", || nn::LSTM::new(3, 4)?.forward(&ones(&[0, 2, 3]), None), "sequence length"),
        case("no batch", || nn::LSTM::new(3, 4)?.forward(&ones(&[2, 3, 4, 5]), None), "2D or 3D"),
        case("features that do not fit two inputs", || nn::Bilinear::new(2, 3, 4)?.forward(&ones(&[1, 3]), &ones(&[1, 2])), "sizes"),
        case("two inputs of other batches", || nn::Bilinear::new(2, 3, 4)?.forward(&ones(&[1, 2]), &ones(&[2, 3])), "batch"),
        case("slopes of other channels", || nn::PReLU::new(3, 0.1)?.forward(&ones(&[1, 2])), "channel"),
        case("an odd number of gates", || nn::GLU::default().forward(&ones(&[3])), "even"),
        case("two inputs without features", || nn::Bilinear::new(0, 3, 4), "in1_features"),
        case("a linear layer that overflows", || nn::Linear::new(usize::MAX, 2), "overflow"),
        case("a norm that overflows", || nn::BatchNorm1d::new(usize::MAX), ""),
        case("a norm over no dimension", || nn::LayerNorm::new([])?.forward(&ones(&[2])), ""),
        case("no groups of channels", || nn::GroupNorm::new(0, 3), "divisible"),
        case("an image of other channels in groups", || nn::GroupNorm::new(1, 3)?.forward(&ones(&[1, 2, 2])), ""),
        case("no cutoffs", || nn::AdaptiveLogSoftmaxWithLoss::new(8, 20, &[]), "length larger than 0"),
        case("cutoffs that fall", || nn::AdaptiveLogSoftmaxWithLoss::new(8, 20, &[5, 3]), "increasing"),
        case("a cutoff of 0", || nn::AdaptiveLogSoftmaxWithLoss::new(8, 20, &[0]), "increasing"),
        case("a cutoff past the classes", || nn::AdaptiveLogSoftmaxWithLoss::new(8, 20, &[20]), "increasing"),
        case("a factor that is no number", || nn::AdaptiveLogSoftmaxWithLoss::with(8, 20, &[5], f64::NAN, false), "div_value"),
        case("a cluster's class that is none", || adaptive().forward(&ones(&[1, 8]), &of(DType::I64, &[1]).mul(20)?), "in [0, 19]"),
        case("clusters' classes of another number", || adaptive().forward(&ones(&[2, 8]), &of(DType::I64, &[1])), "batch dimension"),
        case("clusters' classes of another rank", || adaptive().forward(&ones(&[8]), &of(DType::I64, &[1])), "target tensor expects"),
        case("clusters' classes of floats", || adaptive().forward(&ones(&[1, 8]), &ones(&[1])), ""),
        case("logits of too many classes", || nn::LinearCrossEntropyLoss::with(2, usize::MAX, &[2], false), "too large"),
        case("logits of another rank", || nn::LinearCrossEntropyLoss::new(2, 3)?.forward(&ones(&[1, 1, 2]), &of(DType::I64, &[1])), "dimensionality"),
        case("starting values by the fans of a vector", || nn::init::xavier_normal_(&ones(&[2]), 1.0), "Fan in"),
        case("starting values of integers", || nn::init::normal_(&of(DType::I64, &[2, 2]), 0.0, 1.0), ""),
        case("starting values of a negative deviation", || nn::init::normal_(&ones(&[2]), 0.0, -1.0), ""),
        case("starting values between nothing", || nn::init::uniform_(&ones(&[2]), 1.0, 0.0), ""),
        // State.
        case("a state dict of another module", || nn::Linear::new(2, 3)?.load_state_dict(&nn::Linear::new(3, 3)?.state_dict()?), "size mismatch for weight"),
        case("a state dict that lacks a bias", || nn::Linear::new(2, 3)?.load_state_dict(&nn::Linear::with(2, 3, false)?.state_dict()?), "Missing key(s)"),
        case("a state dict with a bias too many", || nn::Linear::with(2, 3, false)?.load_state_dict(&nn::Linear::new(2, 3)?.state_dict()?), "Unexpected key(s)"),
        case("a module of integers", || nn::Linear::new(2, 3)?.to_dtype(DType::I64), "floats"),
        case("a module on a device that is not there", || nn::Linear::new(2, 3)?.to_device(Device::Gpu(9)), ""),
        case("a name twice", || { let mut state = nn::Linear::new(2, 3)?.state_dict()?; state.insert("bias", ones(&[1])) }, "twice"),
        // Losses.
        case("a class out of range", || nn::cross_entropy(&ones(&[1, 3]), &of(DType::I64, &[1]).mul(3)?), "out of bounds"),
        case("classes of another number", || nn::cross_entropy(&ones(&[2, 3]), &of(DType::I64, &[3])), ""),
        case("classes as int8", || nn::cross_entropy(&ones(&[1, 3]), &of(DType::I8, &[1])), ""),
        case("errors of other shapes", || nn::mse_loss(&ones(&[2]), &ones(&[3]), nn::Reduction::Mean), ""),
        case("what is no probability", || nn::binary_cross_entropy(&ones(&[1]).mul(2.0)?, &ones(&[1]), nn::Reduction::Mean), "between 0 and 1"),
        case("a delta of 0", || nn::huber_loss(&ones(&[1]), &ones(&[1]), 0.0, nn::Reduction::Mean), "delta"),
        case("classes' weights of another number", || {
            let weight = ones(&[2]);
            nn::cross_entropy_with(&ones(&[1, 3]), &of(DType::I64, &[1]), nn::ClassLoss { weight: Some(&weight), ..Default::default() })
        }, ""),
        case("a smoothing beyond 1", || {
            nn::cross_entropy_with(&ones(&[1, 3]), &of(DType::I64, &[1]), nn::ClassLoss { label_smoothing: 2.0, ..Default::default() })
        }, ""),
        case("logits without classes", || nn::cross_entropy(&ones(&[]), &of(DType::I64, &[])), ""),
        case("a negative beta", || nn::smooth_l1_loss(&ones(&[1]), &ones(&[1]), -1.0, nn::Reduction::Mean), "beta"),
        case("logits of other shapes", || nn::binary_cross_entropy_with_logits(&ones(&[2]), &ones(&[3]), None, nn::Reduction::Mean), ""),
        case("a divergence of other shapes", || nn::kl_div(&ones(&[2]), &ones(&[3])), ""),
        // Optimizers.
        case("nothing to optimize", || Sgd::new(Vec::new(), SgdOptions::default()), "empty parameter list"),
        case("a negative rate", || Sgd::new(parameter(), SgdOptions { lr: -1.0, ..Default::default() }), "learning rate: -1"),
        case("NaN for a rate", || Adam::new(parameter(), AdamOptions { lr: f64::NAN, ..Default::default() }), "learning rate: NaN"),
        case("a negative momentum", || Sgd::new(parameter(), SgdOptions { momentum: -1.0, ..Default::default() }), "momentum"),
        case("Nesterov without momentum", || Sgd::new(parameter(), SgdOptions { nesterov: true, ..Default::default() }), "Nesterov"),
        case("a beta of 1", || AdamW::new(parameter(), AdamOptions { betas: (0.9, 1.0), ..Default::default() }), "index 1: 1"),
        case("a negative eps", || Adam::new(parameter(), AdamOptions { eps: -1.0, ..Default::default() }), "epsilon"),
        case("a negative decay", || Adam::new(parameter(), AdamOptions { weight_decay: -1.0, ..Default::default() }), "weight_decay"),
        case("one parameter twice", || {
            let p = parameter();
            Sgd::new([p.clone(), p].concat(), SgdOptions::default())
        }, "more than one"),
        case("rates of other groups", || Sgd::new(parameter(), SgdOptions::default())?.set_learning_rates(&[0.1, 0.2]), "2 learning rates"),
        case("a state that is none", || Sgd::new(parameter(), SgdOptions::default())?.load_state_dict(&rustnn::io::Value::None), "state"),
        case("a state of another optimizer", || {
            let p = parameter();
            let mut adam = Adam::new(p.clone(), AdamOptions::default())?;
            p[0].square()?.sum()?.backward()?;
            let mut sgd = Sgd::new(p.clone(), SgdOptions { momentum: 0.9, ..Default::default() })?;
            sgd.step()?;
            adam.load_state_dict(&sgd.state_dict()?)
        }, "lacks"),
        case("a state of another shape", || {
            let (p, q) = (parameter(), vec![nn::Parameter::new(ones(&[3]))?]);
            let mut from = Adam::new(p.clone(), AdamOptions::default())?;
            p[0].square()?.sum()?.backward()?;
            from.step()?;
            Adam::new(q, AdamOptions::default())?.load_state_dict(&from.state_dict()?)
        }, "shape"),
        case("a schedule of a negative factor", || {
            let mut sgd = Sgd::new(parameter(), SgdOptions::default())?;
            Schedule::new(&mut sgd, ExponentialLR { gamma: -1.0 })?.step(&mut sgd)
        }, "learning rate"),
        case("a schedule whose lowest rate is no number", || {
            let mut sgd = Sgd::new(parameter(), SgdOptions::default())?;
            Schedule::new(&mut sgd, CosineAnnealingLR { period: 3, min: f64::NAN })
        }, "min should be finite"),
        case("a schedule of no steps", || {
            let mut sgd = Sgd::new(parameter(), SgdOptions::default())?;
            Schedule::new(&mut sgd, StepLR { size: 0, gamma: 0.5 })
        }, "size should be at least 1"),
        // Counts that only shapes without elements, or no memory, could hold.
        case("unbinding more than memory holds", || Tensor::zeros([0, 1 << 40])?.unbind(1), "allocate memory"),
        case("unbinding more than a machine counts", || Tensor::zeros([0, usize::MAX / 8])?.unbind(1), "allocate memory"),
        case("more chunks than memory holds", || Tensor::zeros([0, usize::MAX / 8])?.chunk(usize::MAX / 2, 1), "allocate memory"),
        case("more pieces than memory holds", || Tensor::zeros([0, 1 << 40])?.split(1, 1), "allocate memory"),
        case("more steps than memory holds", || {
            nn::LSTM::new(3, 4)?.forward(&Tensor::zeros([1 << 40, 0, 3])?, None)
        }, "allocate memory"),
        case("more recurrent layers than memory holds", || {
            nn::GRU::with(3, 4, nn::RecurrentOptions { num_layers: 1 << 40, ..Default::default() })
        }, "allocate memory"),
        case("more encoder layers than memory holds", || nn::TransformerEncoder::new(8, 2, usize::MAX), "allocate memory"),
        case("more decoder layers than memory holds", || nn::TransformerDecoder::new(8, 2, 1 << 45), "allocate memory"),
        // Programs.
        case("a program that is none", || Program::from_bytes(vec![1, 2, 3]), ""),
        case("a program of nothing", || Program::from_bytes(Vec::new()), ""),
        case("a program that is not there", || Program::load("/nowhere"), ""),
        // Data.
        case("tensors of other lengths", || TensorDataset::new(vec![ones(&[2]), ones(&[3])]), "Size mismatch"),
        case("no tensors", || TensorDataset::new(Vec::new()), "Size mismatch"),
        case("scalars as samples", || TensorDataset::new(vec![ones(&[])]), "Size mismatch"),
        case("batches of nothing", || DataLoader::new(TensorDataset::new(vec![ones(&[2])])?, 0), "batch_size"),
        case("a batch of all there could be", || {
            let set = TensorDataset::new(vec![ones(&[2])])?;
            let loader = DataLoader::new(set, usize::MAX)?;
            assert_eq!(loader.iter()?.count(), 1);
            let whole = DataLoader::new(TensorDataset::new(vec![ones(&[1]).expand([1 << 50])?])?, usize::MAX)?;
            whole.iter()?.try_for_each(|batch| batch.map(drop))
        }, "memory"),
        case("an order of more samples than there is memory", || {
            let set = TensorDataset::new(vec![ones(&[1]).expand([1 << 50])?])?;
            DataLoader::new(set, 1)?.shuffled().iter().map(drop)
        }, "memory"),
        case("a sample past the end", || rustnn::data::Dataset::get(&TensorDataset::new(vec![ones(&[2])])?, 2), "out of range"),
    ]
}

#[test]
fn every_mistake_is_an_error_that_says_what_is_wrong() {
    let mut wrong = Vec::new();
    for (what, call, names) in cases() {
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Err(error)) if error.to_string().contains(names) && !error.to_string().is_empty() => {}
            Ok(Err(error)) => wrong.push(format!("{what}: says {error:?}, without {names:?}")),
            Ok(Ok(())) => wrong.push(format!("{what}: accepted")),
            Err(_) => wrong.push(format!("{what}: panicked")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn errors_are_one_enum_whose_kinds_can_be_told_apart() {
    assert!(matches!(ones(&[2]).select(0, 5), Err(Error::Tensor(rustnn_tensor::Error::Index(_)))));
    assert!(matches!(rustnn::io::load("/nowhere"), Err(Error::File(_))));
    assert!(matches!(nn::Dropout::new(2.0), Err(Error::Value(_))));
    let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(nn::Dropout::new(2.0).unwrap_err());
    assert!(boxed.to_string().contains("probability"));
}

/// All shapes of up to four dimensions with sizes from 0 to 3.
fn small_shapes() -> Vec<Vec<usize>> {
    let mut shapes: Vec<Vec<usize>> = vec![Vec::new()];
    let mut last = shapes.clone();
    for _ in 0..4 {
        last = last.iter().flat_map(|shape| (0..4).map(|size| [&shape[..], &[size]].concat())).collect();
        shapes.extend(last.iter().cloned());
    }
    shapes
}

#[test]
fn layers_return_for_every_small_shape_and_dtype() {
    let layers: Vec<Box<dyn Forward>> = vec![
        Box::new(nn::Linear::new(2, 3).unwrap()),
        Box::new(nn::Conv1d::new(2, 2, 2).unwrap()),
        Box::new(nn::Conv2d::with(2, 2, 2, ConvOptions { padding: 1.into(), ..Default::default() }).unwrap()),
        Box::new(nn::ConvTranspose1d::new(2, 2, 2).unwrap()),
        Box::new(nn::ConvTranspose2d::new(2, 2, 2).unwrap()),
        Box::new(nn::BatchNorm1d::new(2).unwrap()),
        Box::new(nn::BatchNorm2d::new(2).unwrap()),
        Box::new(nn::InstanceNorm1d::with(2, NormOptions::default()).unwrap()),
        Box::new(nn::LayerNorm::new([2]).unwrap()),
        Box::new(nn::RMSNorm::new([2], None).unwrap()),
        Box::new(nn::GroupNorm::new(2, 2).unwrap()),
        Box::new(nn::Embedding::new(3, 2).unwrap()),
        Box::new(nn::EmbeddingBag::new(3, 2, nn::BagMode::Max).unwrap()),
        Box::new(nn::PReLU::new(2, 0.25).unwrap()),
        Box::new(nn::MaxPool1d::new(2)),
        Box::new(nn::MaxPool2d::with(2, 1, 1)),
        Box::new(nn::AvgPool2d::new(2)),
        Box::new(nn::AdaptiveAvgPool2d::new(2)),
        Box::new(nn::AdaptiveMaxPool1d::new(2)),
        Box::new(nn::Softmax { dim: 1 }),
        Box::new(nn::GLU::default()),
        Box::new(nn::GELU::default()),
        Box::new(nn::Dropout::new(0.5).unwrap()),
        Box::new(nn::ChannelDropout::new(0.5).unwrap()),
        Box::new(nn::Flatten),
        Box::new(nn::TransformerEncoderLayer::new(2, 1).unwrap()),
        Box::new(nn::EmbeddingBag::with(3, 2, nn::BagMode::Mean, padded(1)).unwrap()),
        Box::new(nn::WeightNorm::new(nn::Linear::new(2, 3).unwrap()).unwrap()),
        Box::new(nn::SpectralNorm::new(nn::Conv1d::new(2, 2, 2).unwrap()).unwrap()),
        Box::new(
            nn::Conv2d::with(2, 2, 2, ConvOptions { padding: 1.into(), padding_mode: nn::PaddingMode::Reflect, ..Default::default() })
                .unwrap(),
        ),
        Box::new(nn::ZeroPad2d::new([[1, -1], [-2, 1]])),
        Box::new(nn::ReflectionPad1d::new([[1, -2]])),
        Box::new(nn::ReplicationPad2d::new([[-1, 1], [1, 1]])),
        Box::new(nn::CircularPad1d::new([[1, -1]])),
        Box::new(nn::PixelShuffle { upscale_factor: 1 }),
        Box::new(nn::PixelUnshuffle { downscale_factor: 2 }),
        Box::new(nn::ChannelShuffle { groups: 2 }),
        Box::new(nn::Upsample { scale_factor: 1.5, mode: nn::UpsampleMode::Nearest }),
        Box::new(nn::Upsample { scale_factor: 1.5, mode: nn::UpsampleMode::Linear }),
        Box::new(nn::Unflatten { dim: 0, sizes: vec![-1, 1] }),
        Box::new(nn::LogSoftmax { dim: -1 }),
        Box::new(nn::Softplus::default()),
    ];
    let shapes = small_shapes();
    let mut accepted = 0;
    for dtype in DType::ALL {
        for shape in &shapes {
            // Ones where the dtype has arithmetic, else zeros.
            let Ok(x) = Tensor::full(shape, 1.0, dtype)
                .or_else(|_| Tensor::from_bytes(&vec![0; shape.iter().product::<usize>() * dtype.size_bytes()], shape, dtype))
            else {
                panic!("no tensor of {shape:?} {}", dtype.name())
            };
            for layer in &layers {
                match catch_unwind(AssertUnwindSafe(|| layer.forward(&x).is_ok())) {
                    Ok(is_ok) => accepted += usize::from(is_ok),
                    Err(_) => panic!("{} panicked on {shape:?} {}", layer.class_name(), dtype.name()),
                }
            }
        }
    }
    assert!(accepted > 1000, "{accepted}");
}

/// Zero, one, and what lies at the ends of a dtype: all bits, the sign alone, all but the sign.
fn edges(dtype: DType) -> Tensor {
    let size = dtype.size_bytes();
    let with = |byte: u8, first: u8, last: u8| {
        let mut bytes = vec![byte; size];
        bytes[0] = first;
        bytes[size - 1] = last;
        bytes
    };
    let one = with(0, 1, u8::from(size == 1));
    let all = [vec![0; size], one, vec![0xff; size], with(0, 0, 0x80), with(0xff, 0xff, 0x7f)].concat();
    Tensor::from_bytes(&all, [5], dtype).unwrap()
}

#[test]
#[rustfmt::skip]
fn functions_return_for_every_dtype_at_its_ends() {
    type One = fn(&Tensor) -> Result<Tensor>;
    type Two = fn(&Tensor, &Tensor) -> Result<Tensor>;
    let one: [(&str, One); 59] = [
        ("abs", Tensor::abs), ("ceil", Tensor::ceil), ("cos", Tensor::cos), ("erf", Tensor::erf), ("exp", Tensor::exp),
        ("floor", Tensor::floor), ("isfinite", Tensor::isfinite), ("isnan", Tensor::isnan), ("log", Tensor::log),
        ("log1p", Tensor::log1p), ("neg", Tensor::neg), ("reciprocal", Tensor::reciprocal), ("relu", Tensor::relu),
        ("round", Tensor::round), ("rsqrt", Tensor::rsqrt), ("sigmoid", Tensor::sigmoid), ("sign", Tensor::sign),
        ("silu", Tensor::silu), ("sin", Tensor::sin), ("sqrt", Tensor::sqrt), ("square", Tensor::square), ("tanh", Tensor::tanh),
        ("logical_not", Tensor::logical_not), ("sum", Tensor::sum), ("mean", Tensor::mean), ("norm", Tensor::norm),
        ("nonzero", Tensor::nonzero), ("copy", Tensor::copy), ("contiguous", Tensor::contiguous),
        ("zeros_like", Tensor::zeros_like), ("ones_like", Tensor::ones_like),
        ("sums along", |x| x.sum_dim(&[0], true)), ("means along", |x| x.mean_dim(&[0], true)),
        ("variance", |x| x.var_dim(&[0], f64::INFINITY, false)), ("variance of none", |x| x.var_dim(&[0], f64::NAN, false)),
        ("greatest", |x| Ok(x.max_dim(0, false)?.0)), ("least", |x| Ok(x.min_dim(0, false)?.0)),
        ("place of the greatest", |x| x.argmax(0)), ("place of the least", |x| x.argmin(0)),
        ("sums up to", |x| x.cumsum(0)), ("order", |x| Ok(x.sort(0, true)?.0)), ("best", |x| Ok(x.topk(2, 0)?.0)),
        ("softmax", |x| x.softmax(0)), ("log_softmax", |x| x.log_softmax(0)),
        ("clamp", |x| x.clamp(-1e300, 1e300)), ("clamp to nothing", |x| x.clamp(f64::NAN, f64::NAN)), ("clamp crossed", |x| x.clamp(1.0, -1.0)),
        ("plus", |x| x.add(i64::MAX)), ("minus", |x| x.sub(i64::MIN)), ("over 0", |x| x.div(0)), ("remainder of 0", |x| x.remainder(0)),
        ("remainder of -1", |x| x.remainder(-1)), ("to a negative power", |x| x.pow(-3)), ("to a high power", |x| x.pow(i64::MAX)),
        ("to a power of NaN", |x| x.pow(f64::NAN)), ("filled", |x| { x.fill_(1e300)?; Ok(x.clone()) }),
        ("filled with NaN", |x| { x.fill_(f64::NAN)?; Ok(x.clone()) }), ("masked", |x| x.masked_fill(&x.ne(0)?, 1e300)),
        ("one hot", |x| x.one_hot(3)),
    ];
    let two: [(&str, Two); 25] = [
        ("add", |a, b| a.add(b)), ("sub", |a, b| a.sub(b)), ("mul", |a, b| a.mul(b)), ("div", |a, b| a.div(b)),
        ("maximum", |a, b| a.maximum(b)), ("minimum", |a, b| a.minimum(b)), ("remainder", |a, b| a.remainder(b)),
        ("eq", |a, b| a.eq(b)), ("ne", |a, b| a.ne(b)), ("lt", |a, b| a.lt(b)), ("le", |a, b| a.le(b)), ("gt", |a, b| a.gt(b)),
        ("ge", |a, b| a.ge(b)), ("logical_and", |a, b| a.logical_and(b)), ("logical_or", |a, b| a.logical_or(b)),
        ("pow", |a, b| a.pow(b)), ("matmul", |a, b| a.matmul(b)), ("where", |a, b| a.where_(b, a)), ("masked_fill", |a, b| a.masked_fill(b, -1.0)),
        ("index_select", |a, b| a.index_select(0, b)), ("gather", |a, b| a.gather(0, b)), ("index_add", |a, b| a.index_add(0, b, a)),
        ("add in place", |a, b| { a.add_(b, -1.0)?; Ok(a.clone()) }), ("mul in place", |a, b| { a.mul_(b)?; Ok(a.clone()) }),
        ("copy in place", |a, b| { a.copy_(b)?; Ok(a.clone()) }),
    ];
    let mut wrong = Vec::new();
    let mut accepted = 0;
    let mut check = |what: String, call: &dyn Fn() -> Result<Tensor>| {
        // What it gives can be read.
        match catch_unwind(AssertUnwindSafe(|| call().and_then(|y| y.to_bytes()).is_ok())) {
            Ok(is_ok) => accepted += usize::from(is_ok),
            Err(_) => wrong.push(what),
        }
    };
    for dtype in DType::ALL {
        for (what, f) in one {
            // Both by the machine's lanes and by what is left over behind them.
            check(format!("{what} of {}", dtype.name()), &|| f(&edges(dtype)));
            check(format!("{what} of many {}", dtype.name()), &|| f(&edges(dtype).repeat([100])?));
        }
        for other in DType::ALL {
            for (what, f) in two {
                // Every end meets every other.
                check(format!("{what} of {} and {}", dtype.name(), other.name()), &|| {
                    f(&edges(dtype).unsqueeze(1)?.expand([5, 5])?.copy()?.reshape([-1])?, &edges(other).repeat([5])?)
                });
            }
            check(format!("{} to {}", dtype.name(), other.name()), &|| edges(dtype).to_dtype(other));
        }
    }
    assert!(wrong.is_empty(), "panicked:\n{}", wrong.join("\n"));
    assert!(accepted > 3000, "{accepted}");
}

#[test]
fn extreme_settings_return_too() {
    let mut wrong = Vec::new();
    let mut check = |what: &str, call: &dyn Fn() -> Result<()>| {
        if catch_unwind(AssertUnwindSafe(|| drop(call()))).is_err() {
            wrong.push(what.to_string());
        }
    };
    check("a stream at its end", &|| {
        let generator = rustnn::random::Generator::new(u64::MAX);
        generator.set_state((u64::MAX, u64::MAX));
        generator.scope(|| {
            Tensor::rand([1000])?;
            Tensor::randn([1000])?;
            Tensor::randperm(1000)?;
            Tensor::randint(i64::MIN..i64::MAX, [1000])?;
            nn::Dropout::new(0.5)?.forward(&ones(&[1000]))?;
            nn::init::uniform_(&ones(&[8]), f64::MIN, f64::MAX)?;
            nn::init::uniform_(&ones(&[8]), f64::NAN, f64::NAN)?;
            nn::init::normal_(&ones(&[8]), f64::INFINITY, f64::INFINITY)
        })
    });
    check("very many dimensions", &|| {
        let x = Tensor::ones(vec![1; 500])?;
        x.add(&x)?.sum()?;
        x.permute((0..500).rev().collect::<Vec<i64>>())?.copy()?;
        x.matmul(&x)?;
        x.flatten(0, -1)?;
        Tensor::zeros(vec![1; 100_000]).map(drop)
    });
    for i in [i64::MIN, -1, i64::MAX] {
        let x = || ones(&[2, 3]);
        check("dimensions", &|| {
            let _ = x().sum_dim(&[i, i], true);
            let _ = (x().softmax(i), x().cumsum(i), x().unbind(i), x().squeeze(i), x().unsqueeze(i), x().argmax(i), x().size(i));
            let _ = (x().flatten(i, i), x().transpose(i, i), x().select(i, i), x().narrow(i, i, usize::MAX), x().topk(usize::MAX, i));
            let _ = (x().split(usize::MAX, i), x().chunk(usize::MAX, i), x().flip(&[i]), x().triu(i), x().tril(i));
            let _ = (x().reshape([i, i]), x().expand([i, i]), x().unflatten(i, [i, i]), x().permute([i, i]), x().repeat([i, i]));
            let _ = (Tensor::cat(&[x()], i), Tensor::stack(&[x()], i), Tensor::arange(i..i), Tensor::linspace(f64::NAN, f64::INFINITY, 3));
            Ok(())
        });
    }
    check("a device that is not there", &|| {
        rustnn::with_device(Device::Gpu(9), || drop((Tensor::zeros([2]), nn::Linear::new(2, 2), Tensor::new(&[1.0f32], [1]))));
        drop((rustnn::gpu::name(9), rustnn::gpu::synchronize(9), rustnn::gpu::live_bytes(9), rustnn::gpu::empty_cache(9)));
        Ok(())
    });
    check("nothing at all", &|| {
        let x = ones(&[0, 3]);
        let _ = (x.norm(), x.mean(), x.softmax(0), x.sort(0, true), x.cumsum(0), x.nonzero(), x.matmul(&ones(&[3, 0])));
        let _ = (nn::Flatten.forward(&ones(&[])), nn::Sequential::new().forward(&x), format!("{x:?}"));
        Ok(())
    });
    assert!(wrong.is_empty(), "panicked: {wrong:?}");
}

#[test]
fn what_is_empty_or_expanded_is_computed_on_at_any_size() -> Result<()> {
    // Sums of more elements than partial results could be held of.
    let wide = ones(&[1, 1]).expand([1 << 12, 1 << 12])?;
    assert_eq!(wide.norm()?.item::<f32>()?, 4096.0);
    assert_eq!(wide.max_dim(0, false)?.0.sum()?.item::<f32>()?, 4096.0);
    assert_eq!(wide.sum_dim(&[0], false)?.mean()?.item::<f32>()?, 4096.0);
    // Views and sums of nothing, whose other sizes are as large as they can be.
    let most = i64::MAX as usize;
    let x = empty(&[most, 0]);
    assert_eq!(x.select(0, -1)?.shape(), [0]);
    assert_eq!(x.narrow(0, 5, most - 5)?.shape(), [most - 5, 0]);
    assert_eq!(x.transpose(0, 1)?.shape(), [0, most]);
    assert_eq!(x.flatten(0, -1)?.shape(), [0]);
    assert_eq!(x.unsqueeze(0)?.shape(), [1, most, 0]);
    assert_eq!(x.sum()?.item::<f32>()?, 0.0);
    assert_eq!(x.norm()?.item::<f32>()?, 0.0);
    assert!(x.copy()?.to_vec::<f32>()?.is_empty());
    assert_eq!(Tensor::cat(&[empty(&[most - 1, 0]), empty(&[1, 0])], 0)?.shape(), [most, 0]);
    assert!(!format!("{x:?}").is_empty());
    // No samples leave running statistics as they are.
    let norm = nn::InstanceNorm1d::with(3, NormOptions { affine: true, track_running_stats: true, ..Default::default() })?;
    assert_eq!(norm.forward(&empty(&[0, 3, 4]))?.shape(), [0, 3, 4]);
    assert!(
        norm.named_buffers().iter().all(|(_, b)| b.to_dtype(DType::F64).unwrap().to_vec::<f64>().unwrap().iter().all(|x| x.is_finite()))
    );
    Ok(())
}

#[test]
fn padding_at_the_ends_of_its_range_does_not_panic() {
    let x = ones(&[1, 1, 5]);
    for before in [i64::MIN, -i64::MAX, -5, i64::MAX - 5, i64::MAX] {
        for after in [i64::MIN, -i64::MAX, -4, 0, i64::MAX - 5, i64::MAX] {
            let sides = [[before, after]];
            let done = catch_unwind(AssertUnwindSafe(|| {
                let _ = nn::ReplicationPad1d::new(sides).forward(&x);
                let _ = nn::ReflectionPad1d::new(sides).forward(&x);
                let _ = nn::CircularPad1d::new(sides).forward(&x);
                let _ = nn::ConstantPad1d::new(sides, 1.0).forward(&x);
            }));
            assert!(done.is_ok(), "{sides:?}");
        }
    }
}
