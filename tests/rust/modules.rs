//! The derived tree: names, modes, state dicts, conversion.

use crate::{floats, refused};
use rustnn::io::StateDict;
use rustnn::nn::{self, Buffer, Forward, Module, Parameter, Training};
use rustnn::{DType, Device, Error, Result, Tensor};
use std::collections::BTreeMap;

#[derive(Module)]
struct Block {
    scale: Parameter,
    #[module(rename = "type")]
    kind: Parameter,
    count: Buffer,
    scratch: Buffer,
    training: Training,
}

impl Block {
    fn new() -> Result<Block> {
        Ok(Block {
            scale: Parameter::new(Tensor::ones([2])?)?,
            kind: Parameter::new(Tensor::zeros([1])?)?,
            count: Buffer::new(Tensor::scalar(0i64)?),
            scratch: Buffer::transient(Tensor::ones([3])?),
            training: Training::default(),
        })
    }
}

/// What a derive that knows nothing of it would take for a member.
struct Foreign;

#[derive(Module)]
struct Net<F> {
    first: F,
    blocks: Vec<Block>,
    pair: [nn::Linear; 2],
    named: BTreeMap<String, nn::Linear>,
    absent: Option<nn::Linear>,
    any: Box<dyn Forward>,
    width: usize,
    #[module(skip)]
    _foreign: Foreign,
}

#[derive(Module)]
struct Wrapper(nn::Linear, Option<Parameter>);

fn net() -> Result<Net<nn::Linear>> {
    Ok(Net {
        first: nn::Linear::new(2, 2)?,
        blocks: vec![Block::new()?, Block::new()?],
        pair: [nn::Linear::with(1, 1, false)?, nn::Linear::with(1, 1, false)?],
        named: [("a".to_string(), nn::Linear::with(1, 1, false)?)].into(),
        absent: None,
        any: Box::new(nn::Sequential::new().add(nn::ReLU).add(nn::BatchNorm1d::new(2)?)),
        width: 2,
        _foreign: Foreign,
    })
}

#[test]
fn names_are_those_of_pytorchs_containers() {
    let net = net().unwrap();
    let names = |list: Vec<String>| list.join(" ");
    assert_eq!(
        names(net.named_parameters().into_iter().map(|(n, _)| n).collect()),
        "first.weight first.bias blocks.0.scale blocks.0.type blocks.1.scale blocks.1.type pair.0.weight pair.1.weight named.a.weight \
         any.1.weight any.1.bias"
    );
    assert_eq!(
        names(net.state_dict().unwrap().names().map(String::from).collect()),
        "first.weight first.bias blocks.0.scale blocks.0.type blocks.0.count blocks.1.scale blocks.1.type blocks.1.count pair.0.weight \
         pair.1.weight named.a.weight any.1.weight any.1.bias any.1.running_mean any.1.running_var any.1.num_batches_tracked"
    );
    assert_eq!(names(net.named_children().into_iter().map(|(n, _)| n).collect()), "first blocks.0 blocks.1 pair.0 pair.1 named.a any");
    assert!(net.named_modules().iter().any(|(name, module)| name == "any.1" && module.class_name() == "BatchNorm1d"));
    assert_eq!(net.named_buffers().len(), 7);
    assert_eq!(net.num_parameters(), 6 + 6 + 3 + 4);
    assert_eq!(net.width, 2);
    let wrapper = Wrapper(nn::Linear::new(1, 1).unwrap(), None);
    assert_eq!(names(wrapper.state_dict().unwrap().names().map(String::from).collect()), "0.weight 0.bias");
}

#[test]
fn modes_reach_every_module_below() {
    let mut net = net().unwrap();
    net.eval();
    assert!(net.blocks.iter().all(|block| !block.training.is_on()));
    // Batch statistics of one row would be refused in training.
    assert!(net.any.forward(&Tensor::ones([1, 2]).unwrap()).is_ok());
    net.train();
    assert!(net.blocks[1].training.is_on());
    assert!(net.any.forward(&Tensor::ones([1, 2]).unwrap()).is_err());
}

#[test]
fn a_state_dict_goes_from_one_module_to_another_bit_by_bit() {
    let (a, b) = (net().unwrap(), net().unwrap());
    b.load_state_dict(&a.state_dict().unwrap()).unwrap();
    for ((name, x), (_, y)) in a.state_dict().unwrap().iter().zip(b.state_dict().unwrap().iter()) {
        assert_eq!(floats(x), floats(y), "{name}");
        assert!(!x.same(y));
    }
    let snapshot = a.state_dict().unwrap().snapshot().unwrap();
    a.first.bias.as_ref().unwrap().set(&Tensor::ones([2]).unwrap()).unwrap();
    assert_ne!(floats(snapshot.get("first.bias").unwrap()), [1.0, 1.0]);
    assert_eq!(snapshot.under("any").names().next(), Some("1.weight"));
}

#[test]
fn what_does_not_fit_is_named_and_changes_nothing() {
    let layer = nn::Linear::new(2, 3).unwrap();
    let before = floats(&layer.weight);
    let mut state = StateDict::new();
    state.insert("weight", Tensor::ones([3, 2]).unwrap()).unwrap();
    state.insert("extra", Tensor::ones([1]).unwrap()).unwrap();
    let text = refused(layer.load_state_dict(&state));
    assert_eq!(
        text,
        "Error(s) in loading state_dict for Linear:\n\tMissing key(s) in state_dict: \"bias\". \n\tUnexpected key(s) in state_dict: \"extra\". "
    );
    assert_eq!(floats(&layer.weight), before);
    let mismatch = layer.load_state_dict_partly(&state).unwrap();
    assert_eq!((mismatch.missing, mismatch.unexpected), (vec!["bias".to_string()], vec!["extra".to_string()]));
    assert_eq!(floats(&layer.weight), [1.0; 6]);
    let mut state = StateDict::new();
    state.insert("weight", Tensor::ones([2, 2]).unwrap()).unwrap();
    let error = layer.load_state_dict_partly(&state).unwrap_err();
    assert!(matches!(&error, Error::StateDict { mismatch, .. } if mismatch.incompatible.len() == 1), "{error}");
    assert!(error.to_string().contains("size mismatch for weight: copying a param with shape torch.Size([2, 2])"), "{error}");
}

#[test]
fn conversion_keeps_identity_and_sharing() {
    let mut net = net().unwrap();
    let shared = net.first.weight.clone();
    net.any = Box::new(nn::Identity);
    net.blocks[0].scale = shared.clone();
    net.to_dtype(DType::F64).unwrap();
    assert_eq!(net.first.weight.dtype(), DType::F64);
    assert!(net.first.weight.same(&shared) && net.blocks[0].scale.same(&net.first.weight));
    assert_eq!(net.blocks[0].count.dtype(), DType::I64);
    assert_eq!(net.named_parameters().iter().filter(|(_, p)| p.same(&shared)).count(), 1);
    assert!(net.first.weight.requires_grad() && net.first.weight.is_leaf());
    net.to_device(Device::Cpu).unwrap();
    assert!(refused(net.to_dtype(DType::I64)).contains("int64"));
}

#[test]
fn freezing_and_clearing_gradients_reach_every_parameter() {
    let layer = nn::Sequential::new().add(nn::Linear::new(2, 2).unwrap());
    layer.forward(&Tensor::ones([1, 2]).unwrap()).unwrap().sum().unwrap().backward().unwrap();
    assert!(layer.parameters().iter().all(|p| p.grad().is_some()));
    layer.zero_grad();
    assert!(layer.parameters().iter().all(|p| p.grad().is_none()));
    layer.set_requires_grad(false).unwrap();
    assert!(!layer.forward(&Tensor::ones([1, 2]).unwrap()).unwrap().requires_grad());
}

#[derive(Module)]
struct Shared {
    first: nn::Linear,
}

#[derive(Module)]
struct Flat<L> {
    scale: nn::Parameter,
    #[module(flatten)]
    shared: Shared,
    #[module(flatten)]
    rest: L,
}

#[test]
fn a_flattened_modules_members_are_called_as_if_they_were_its_owners() {
    let make = || -> Result<Flat<nn::Sequential>> {
        let rest = nn::Sequential::new().add(nn::Dropout::new(0.5)?).add(nn::Linear::new(2, 3)?);
        Ok(Flat { scale: nn::Parameter::new(Tensor::ones([1])?)?, shared: Shared { first: nn::Linear::new(2, 2)? }, rest })
    };
    let (mut from, to) = (make().unwrap(), make().unwrap());
    let state = from.state_dict().unwrap();
    assert_eq!(state.names().collect::<Vec<_>>(), ["scale", "first.weight", "first.bias", "1.weight", "1.bias"]);
    to.load_state_dict(&state).unwrap();
    assert_eq!(floats(&to.shared.first.weight), floats(&from.shared.first.weight));
    // Modes and conversions reach what is below.
    let run = |net: &Flat<nn::Sequential>| floats(&net.rest.forward(&Tensor::ones([100, 2]).unwrap()).unwrap());
    assert_ne!(run(&from), run(&from));
    from.eval();
    assert_eq!(run(&from), run(&from));
    from.to_dtype(DType::F64).unwrap();
    assert!(from.parameters().iter().all(|p| p.dtype() == DType::F64));
}

/// Another crate's name, and traits that are not rustnn's: the derive reaches these, and nothing else.
mod renamed {
    pub mod nn {
        pub struct Part<'a>(pub std::marker::PhantomData<&'a ()>);
        pub struct PartMut<'a>(pub std::marker::PhantomData<&'a ()>);

        pub trait Module {
            fn class_name(&self) -> &str;
            fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Part<'a>));
            fn members_mut(&mut self, visit: &mut dyn FnMut(&str, PartMut<'_>));
        }

        pub trait Member {
            fn visit<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&str, Part<'a>));
            fn visit_mut(&mut self, name: &str, visit: &mut dyn FnMut(&str, PartMut<'_>));
        }

        impl Member for u8 {
            fn visit<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&str, Part<'a>)) {
                visit(name, Part(std::marker::PhantomData));
            }
            fn visit_mut(&mut self, name: &str, visit: &mut dyn FnMut(&str, PartMut<'_>)) {
                visit(name, PartMut(std::marker::PhantomData));
            }
        }
    }
}

#[test]
fn the_derive_finds_the_crate_under_another_name() {
    #[derive(Module)]
    #[module(crate = crate::modules::renamed)]
    struct Plain<M> {
        first: M,
    }
    #[derive(Module)]
    #[module(crate = "crate::modules::renamed")]
    struct Quoted {
        first: u8,
        second: u8,
    }
    assert_eq!(renamed::nn::Module::class_name(&Plain { first: 1u8 }), "Plain");
    let mut names = Vec::new();
    renamed::nn::Module::members(&Plain { first: 1u8 }, &mut |name, _| names.push(name.to_string()));
    renamed::nn::Module::members_mut(&mut Quoted { first: 1, second: 2 }, &mut |name, _| names.push(name.to_string()));
    assert_eq!(names, ["first", "first", "second"]);
}

#[test]
fn errors_of_loading_name_the_layer_as_python_does() {
    let foreign = StateDict::new();
    let text = |module: &dyn Module| refused(module.load_state_dict(&foreign));
    let named = |module: &dyn Module, class: &str| {
        let text = text(module);
        assert!(text.starts_with(&format!("Error(s) in loading state_dict for {class}:\n\tMissing key(s)")), "{text}");
    };
    named(&nn::Linear::new(1, 1).unwrap(), "Linear");
    named(&nn::Conv1d::new(1, 1, 1).unwrap(), "Conv1d");
    named(&nn::Conv2d::new(1, 1, 1).unwrap(), "Conv2d");
    named(&nn::ConvTranspose3d::new(1, 1, 1).unwrap(), "ConvTranspose3d");
    named(&nn::BatchNorm1d::new(1).unwrap(), "BatchNorm1d");
    named(&nn::BatchNorm3d::new(1).unwrap(), "BatchNorm3d");
    named(&nn::SyncBatchNorm::new(1).unwrap(), "SyncBatchNorm");
    let options = nn::NormOptions { track_running_stats: true, ..Default::default() };
    named(&nn::InstanceNorm2d::with(1, options).unwrap(), "InstanceNorm2d");
    named(&nn::WeightNorm::new(nn::Conv2d::new(1, 1, 1).unwrap()).unwrap(), "ParametrizedConv2d");
    named(&nn::SpectralNorm::new(nn::Linear::new(2, 2).unwrap()).unwrap(), "ParametrizedLinear");
    let mut extra = StateDict::new();
    extra.insert("weight", Tensor::ones([1]).unwrap()).unwrap();
    let own = nn::Sequential::new().add(nn::PReLU::new(1, 0.25).unwrap());
    assert_eq!(
        refused(own.load_state_dict(&extra)),
        "Error(s) in loading state_dict for Sequential:\n\tMissing key(s) in state_dict: \"0.weight\". \n\tUnexpected key(s) in state_dict: \
         \"weight\". "
    );
}

#[test]
fn batch_norm_over_processes_is_batch_norm_in_one() {
    let (sync, plain) = (nn::SyncBatchNorm::new(3).unwrap(), nn::BatchNorm2d::new(3).unwrap());
    let x = Tensor::rand([4, 3, 5, 2]).unwrap();
    for _ in 0..2 {
        assert_eq!(floats(&sync.forward(&x).unwrap()), floats(&plain.forward(&x).unwrap()));
    }
    let (a, b) = (sync.state_dict().unwrap(), plain.state_dict().unwrap());
    assert!(a.iter().zip(b.iter()).all(|((m, s), (n, t))| m == n && floats(s) == floats(t)) && a.len() == b.len());
    assert_eq!(sync.forward(&Tensor::rand([4, 3]).unwrap()).unwrap().shape(), [4, 3]);
    assert!(refused(sync.forward(&Tensor::ones([3]).unwrap())).contains("at least 2D"));
}

#[derive(Module)]
struct Listed {
    list: Vec<Parameter>,
    layer: nn::Linear,
    scale: Parameter,
}

#[test]
fn parameters_of_a_list_come_after_those_of_its_owner_as_pytorchs_parameter_lists() -> Result<()> {
    let parameter = || Parameter::new(Tensor::zeros([2])?);
    let net = Listed { list: vec![parameter()?, parameter()?], layer: nn::Linear::new(2, 2)?, scale: parameter()? };
    let expected = ["scale", "list.0", "list.1", "layer.weight", "layer.bias"];
    let names: Vec<String> = net.named_parameters().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, expected);
    assert_eq!(net.state_dict()?.names().collect::<Vec<_>>(), expected);
    Ok(())
}
