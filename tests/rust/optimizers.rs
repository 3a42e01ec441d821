//! Optimizers: states that PyTorch saved go on as there; schedules; groups.

use crate::{assert_near, floats, load, refused, tensor};
use rustnn::Tensor;
use rustnn::io::{self, Value};
use rustnn::nn::Parameter;
use rustnn::optim::{self, Adam, AdamOptions, AdamW, Optimizer, Schedule, Sgd, SgdOptions};

fn parameter(value: &Tensor) -> Parameter {
    Parameter::new(value.copy().unwrap()).unwrap()
}

fn go_on(name: &str, make: impl Fn(Vec<Parameter>) -> Box<dyn Optimizer>) {
    let all = load("optimizers.pt");
    let recorded = all.get(name).unwrap();
    let weight = parameter(tensor(recorded, "weight"));
    let mut optimizer = make(vec![weight.clone()]);
    optimizer.load_state_dict(recorded.get("state").unwrap()).unwrap();

    // There and back through a file of our own.
    let path = std::env::temp_dir().join(format!("rustnn-optimizer-{name}-{}.pt", std::process::id()));
    io::save(&path, &optimizer.state_dict().unwrap()).unwrap();
    let saved = io::load(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(keys(&saved), keys(recorded.get("state").unwrap()), "{name}");
    optimizer.load_state_dict(&saved).unwrap();

    weight.pow(3.0).unwrap().sub(&weight).unwrap().sum().unwrap().backward().unwrap();
    optimizer.step().unwrap();
    assert_near(&weight, tensor(recorded, "after"), 1e-6, name);
}

/// The names in the state of the first parameter, and those of the first group.
fn keys(state: &Value) -> (Vec<String>, Vec<String>) {
    let names = |value: &Value| match value {
        Value::Dict(entries) => {
            let mut names: Vec<String> = entries.iter().map(|(key, _)| format!("{key:?}")).collect();
            names.sort();
            names
        }
        other => panic!("{other:?}"),
    };
    let Some(Value::Dict(of)) = state.get("state") else { panic!("{state:?}") };
    let Some(Value::List(groups)) = state.get("param_groups") else { panic!("{state:?}") };
    (names(&of[0].1), names(&groups[0]))
}

#[test]
fn states_that_pytorch_saved_go_on_as_there() {
    go_on("sgd", |p| Box::new(Sgd::new(p, SgdOptions { momentum: 0.5, ..Default::default() }).unwrap()));
    go_on("adam", |p| Box::new(Adam::new(p, AdamOptions::default()).unwrap()));
    go_on("adamw", |p| Box::new(AdamW::new(p, AdamOptions::ADAM_W).unwrap()));
}

#[test]
fn groups_have_their_own_settings_and_rates() {
    let (a, b) = (parameter(&Tensor::ones([1]).unwrap()), parameter(&Tensor::ones([1]).unwrap()));
    let rate = |lr| SgdOptions { lr, ..Default::default() };
    let mut optimizer = Sgd::with_groups(vec![(vec![a.clone()], rate(0.5)), (vec![b.clone()], rate(0.25))]).unwrap();
    a.add(&b).unwrap().sum().unwrap().backward().unwrap();
    optimizer.step().unwrap();
    assert_eq!((floats(&a), floats(&b)), (vec![0.5], vec![0.75]));
    optimizer.set_learning_rates(&[1.0, 2.0]).unwrap();
    assert_eq!(optimizer.learning_rates(), [1.0, 2.0]);
    optimizer.zero_grad();
    assert!(a.grad().is_none() && b.grad().is_none());
    optimizer.step().unwrap();
    assert_eq!(floats(&a), [0.5]);
}

#[test]
fn schedules_follow_their_formulas() {
    let rates = |rule: &dyn Fn(&mut Sgd) -> Box<dyn FnMut(&mut Sgd)>| {
        let weight = parameter(&Tensor::ones([1]).unwrap());
        let mut optimizer = Sgd::new(vec![weight], SgdOptions { lr: 1.0, ..Default::default() }).unwrap();
        let mut step = rule(&mut optimizer);
        (0..9)
            .map(|_| {
                let rate = optimizer.learning_rates()[0];
                step(&mut optimizer);
                rate
            })
            .collect::<Vec<f64>>()
    };
    fn at<R: optim::Rule + Copy + 'static>(rule: R) -> impl Fn(&mut Sgd) -> Box<dyn FnMut(&mut Sgd)> {
        move |optimizer| {
            let mut schedule = Schedule::new(optimizer, rule).unwrap();
            Box::new(move |optimizer| schedule.step(optimizer).unwrap())
        }
    }
    assert_eq!(rates(&at(optim::StepLR { size: 3, gamma: 0.5 })), [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]);
    assert_eq!(rates(&at(optim::ExponentialLR { gamma: 0.5 }))[..4], [1.0, 0.5, 0.25, 0.125]);
    assert_eq!(rates(&at(optim::LinearLR { from: 0.25, to: 1.0, steps: 3 }))[..5], [0.25, 0.5, 0.75, 1.0, 1.0]);
    // Down in four steps, and up again: the recursion passes through the lowest point.
    for (t, rate) in rates(&at(optim::CosineAnnealingLR { period: 4, min: 0.2 })).into_iter().enumerate() {
        let wanted = 0.2 + 0.8 * (1.0 + (std::f64::consts::PI * t as f64 / 4.0).cos()) / 2.0;
        assert!((rate - wanted).abs() < 1e-12, "{t}: {rate}, not {wanted}");
    }
}

#[test]
fn contradictions_are_refused() {
    let weight = parameter(&Tensor::ones([2]).unwrap());
    let one = || vec![weight.clone()];
    assert_eq!(refused(Sgd::new(one(), SgdOptions { lr: -1.0, ..Default::default() })), "Invalid learning rate: -1");
    assert!(refused(Sgd::new(one(), SgdOptions { nesterov: true, ..Default::default() })).contains("Nesterov"));
    assert!(refused(Adam::new(one(), AdamOptions { betas: (1.0, 0.9), ..Default::default() })).contains("beta"));
    assert!(refused(Adam::new(Vec::new(), AdamOptions::default())).contains("empty parameter list"));
    assert!(refused(Adam::new([one(), one()].concat(), AdamOptions::default())).contains("more than one"));
    let mut optimizer = Sgd::new(one(), SgdOptions::default()).unwrap();
    assert!(refused(optimizer.set_learning_rates(&[0.1, 0.1])).contains("2 learning rates for 1 group"));
    assert!(refused(optimizer.load_state_dict(&Value::None)).contains("param_groups"));
    assert!(refused(optimizer.load_state_dict(&load("optimizers.pt"))).contains("param_groups"));
    let other = Sgd::new(vec![weight.clone(), parameter(&Tensor::ones([1]).unwrap())], SgdOptions::default()).unwrap();
    assert!(refused(optimizer.load_state_dict(&other.state_dict().unwrap())).contains("size of optimizer's group"));
}

#[test]
fn adamw_stays_adamw_with_the_state_of_an_adam() {
    let decayed = AdamOptions { lr: 0.1, weight_decay: 0.5, ..AdamOptions::default() };
    let p = parameter(&Tensor::new(&[10f32], [1]).expect("a tensor"));
    let adam = Adam::new(vec![p.clone()], decayed).expect("an optimizer");
    let mut adamw = AdamW::new(vec![p.clone()], decayed).expect("an optimizer");
    adamw.load_state_dict(&adam.state_dict().expect("its state")).expect("it fits");
    p.sum().expect("a sum").backward().expect("a gradient");
    adamw.step().expect("a step");
    // 10 (1 - 0.1 * 0.5) - 0.1: the decay is the parameter's, and the first step is lr long.
    assert!((floats(&p)[0] - 9.4).abs() < 1e-5, "{:?}", floats(&p));
}
