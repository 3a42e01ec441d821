//! The crate on a GPU, or on one that the CPU imitates; without an adapter only what is said of it is tested.

use crate::{assert_near, floats};
use rustnn::nn::{self, ConvOptions, Forward, Module};
use rustnn::optim::{Adam, AdamOptions, Optimizer};
use rustnn::random::Generator;
use rustnn::{Device, Result, Tensor, gpu, io, with_device};

const GPU: Device = Device::Gpu(0);

fn is_there() -> bool {
    let found = gpu::count() > 0;
    if !found {
        eprintln!("no adapter: nothing tested on a GPU");
    }
    found
}

fn network() -> Result<nn::Sequential> {
    let around = ConvOptions { padding: 1.into(), ..Default::default() };
    let layers = nn::Sequential::new().add(nn::Conv2d::with(1, 4, 3, around)?).add(nn::BatchNorm2d::new(4)?).add(nn::GELU::default());
    Ok(layers.add(nn::MaxPool2d::new(2)).add(nn::Flatten).add(nn::Linear::new(4 * 9, 3)?))
}

/// The losses of a few steps, and the trained network, on the CPU again.
fn trained(device: Device) -> Result<(Vec<f32>, nn::Sequential)> {
    let (mut net, x) = Generator::new(7).scope(|| Ok::<_, rustnn::Error>((network()?, Tensor::randn([8, 1, 6, 6])?)))?;
    net.to_device(device)?;
    let (x, classes) = (x.to_device(device)?, Tensor::new(&[0i64, 1, 2, 0, 1, 2, 0, 1], [8])?.to_device(device)?);
    let mut optimizer = Adam::new(net.parameters(), AdamOptions { lr: 0.01, ..Default::default() })?;
    let mut losses = Vec::new();
    for _ in 0..5 {
        let loss = nn::cross_entropy(&net.forward(&x)?, &classes)?;
        assert_eq!(loss.device(), device);
        optimizer.zero_grad();
        loss.backward()?;
        optimizer.step()?;
        losses.push(loss.item::<f32>()?);
    }
    net.to_device(Device::Cpu)?;
    Ok((losses, net))
}

#[test]
fn a_network_trains_on_a_gpu_as_on_the_cpu() {
    if !is_there() {
        return;
    }
    let ((on_gpu, mut net), (on_cpu, mut twin)) = (trained(GPU).unwrap(), trained(Device::Cpu).unwrap());
    assert!(on_cpu[4] < on_cpu[0], "{on_cpu:?}");
    for (a, b) in on_gpu.iter().zip(&on_cpu) {
        assert!((a - b).abs() < 1e-3, "{on_gpu:?}, on the CPU {on_cpu:?}");
    }
    net.eval();
    twin.eval();
    let x = Tensor::ones([2, 1, 6, 6]).unwrap();
    assert_near(&net.forward(&x).unwrap(), &twin.forward(&x).unwrap(), 5e-3, "the trained networks");
}

#[test]
fn new_tensors_and_files_follow_the_device() {
    if !is_there() {
        return;
    }
    let path = std::env::temp_dir().join("rustnn-test-gpu.safetensors");
    let layer = with_device(GPU, || nn::Linear::new(4, 2)).unwrap();
    assert_eq!(layer.weight.device(), GPU);
    io::save_state_dict(&path, &layer.state_dict().unwrap()).unwrap();
    let twin = nn::Linear::new(4, 2).unwrap();
    twin.load_state_dict(&io::load_state_dict(&path).unwrap()).unwrap();
    std::fs::remove_file(path).unwrap();
    assert_eq!(floats(&twin.weight), floats(&layer.weight.to_device(Device::Cpu).unwrap()));
    assert!(layer.forward(&Tensor::ones([1, 4]).unwrap()).unwrap_err().to_string().contains("device"), "two devices in one op");
    assert!(!gpu::name(0).unwrap().is_empty());
    gpu::synchronize(0).unwrap();
    assert!(gpu::live_bytes(0).unwrap() > 0);
    gpu::empty_cache(0).unwrap();
}

#[test]
fn a_gpu_that_is_not_there_is_an_error() {
    let missing = u16::try_from(gpu::count()).unwrap();
    assert!(gpu::name(missing).is_err() && gpu::synchronize(missing).is_err() && gpu::live_bytes(missing).is_err());
    assert!(Tensor::ones([1]).unwrap().to_device(Device::Gpu(missing)).is_err());
    assert!(nn::Linear::new(2, 2).unwrap().to_device(Device::Gpu(missing)).is_err());
    assert!(with_device(Device::Gpu(missing), || Tensor::ones([1])).is_err());
}
