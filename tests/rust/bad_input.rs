//! Everything a caller can get wrong comes back as an error with a text that says what; nothing panics.

use rustnn::data::{DataLoader, TensorDataset};
use rustnn::nn::{self, ConvOptions, Forward, Mask, NormOptions, RecurrentOptions};
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
        // Dtypes.
        case("arithmetic on what is only stored", || of(DType::U8, &[8]).to_dtype(DType::F8E5M2)?.mul(2.0), ""),
        case("a softmax of integers", || of(DType::I64, &[2]).softmax(0), ""),
        case("a product of two dtypes", || ones(&[2, 2]).matmul(&of(DType::F64, &[2, 2])), ""),
        case("a mask of floats", || ones(&[2]).masked_fill(&ones(&[2]), 0.0), ""),
        case("a condition of floats", || ones(&[2]).where_(&ones(&[2]), 0.0), ""),
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
        case("more gradients than outputs", || autograd::backward(&[], &[Some(&ones(&[1]))], Default::default()), "0 outputs"),
        // Layers.
        case("features of another number", || nn::Linear::new(3, 2)?.forward(&ones(&[1, 4])), ""),
        case("features of another dtype", || nn::Linear::new(3, 2)?.forward(&of(DType::F64, &[1, 3])), ""),
        case("features of integers", || nn::Linear::new(3, 2)?.forward(&of(DType::I64, &[1, 3])), ""),
        case("a scalar", || nn::Linear::new(3, 2)?.forward(&ones(&[])), ""),
        case("a layer larger than memory", || nn::Linear::new(1 << 40, 1 << 40), ""),
        case("groups that do not divide", || nn::Conv2d::with(3, 4, 3, ConvOptions { groups: 2, ..Default::default() }), "divisible by groups"),
        case("no groups", || nn::Conv2d::with(3, 4, 3, ConvOptions { groups: 0, ..Default::default() }), "positive"),
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
        case("a bag of one dimension", || nn::EmbeddingBag::new(3, 2, nn::BagMode::Sum)?.forward(&of(DType::I64, &[2])), "2D"),
        case("a cell's state of another shape", || nn::GRUCell::new(3, 4)?.forward(&ones(&[2, 3]), Some(&ones(&[3, 4]))), "hidden size"),
        case("a cell's input of a sequence", || nn::LSTMCell::new(3, 4)?.forward(&ones(&[5, 2, 3]), None), "1D or 2D"),
        case("a negative index", || nn::Embedding::new(3, 2)?.forward(&of(DType::I64, &[1]).mul(-1)?), "out of range"),
        case("an index of floats", || nn::Embedding::new(3, 2)?.forward(&ones(&[1])), "Long"),
        case("a padding past the table", || nn::Embedding::with_padding(3, 2, 3), "num_embeddings"),
        case("no probability", || nn::Dropout::new(1.5), "1.5"),
        case("NaN for a probability", || nn::Dropout::new(f64::NAN), "NaN"),
        case("heads that do not divide", || nn::MultiheadAttention::new(7, 2), "divisible"),
        case("no heads", || nn::MultiheadAttention::new(8, 0), "greater than 0"),
        case("attention to another width", || {
            let x = ones(&[1, 2, 6]);
            nn::MultiheadAttention::new(8, 2)?.forward(&x, &x, &x, Mask::None)
        }, ""),
        case("a sequence of another rank", || nn::TransformerEncoderLayer::new(8, 2)?.forward(&ones(&[8])), "3 dimensions"),
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
        // Losses.
        case("a class out of range", || nn::cross_entropy(&ones(&[1, 3]), &of(DType::I64, &[1]).mul(3)?), "out of bounds"),
        case("classes of another number", || nn::cross_entropy(&ones(&[2, 3]), &of(DType::I64, &[3])), ""),
        case("classes as int8", || nn::cross_entropy(&ones(&[1, 3]), &of(DType::I8, &[1])), ""),
        case("errors of other shapes", || nn::mse_loss(&ones(&[2]), &ones(&[3]), nn::Reduction::Mean), ""),
        case("what is no probability", || nn::binary_cross_entropy(&ones(&[1]).mul(2.0)?, &ones(&[1]), nn::Reduction::Mean), "between 0 and 1"),
        case("a delta of 0", || nn::huber_loss(&ones(&[1]), &ones(&[1]), 0.0, nn::Reduction::Mean), "delta"),
        // Data.
        case("tensors of other lengths", || TensorDataset::new(vec![ones(&[2]), ones(&[3])]), "Size mismatch"),
        case("no tensors", || TensorDataset::new(Vec::new()), "Size mismatch"),
        case("scalars as samples", || TensorDataset::new(vec![ones(&[])]), "Size mismatch"),
        case("batches of nothing", || DataLoader::new(TensorDataset::new(vec![ones(&[2])])?, 0), "batch_size"),
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
