//! Many threads at once, pools of the caller's, and threads that panic.

use crate::floats;
use rustnn::export::{Graph, Input, Node, Program, Role, Size, Value, Weight};
use rustnn::nn::{self, Forward, Module};
use rustnn::random::Generator;
use rustnn::{DType, Tensor, autograd, memory, threads};
use std::process::Command;
use std::sync::Arc;
use std::thread;

fn network() -> nn::Sequential {
    let layers = nn::Sequential::new().add(nn::Conv2d::new(1, 4, 3).unwrap()).add(nn::BatchNorm2d::new(4).unwrap());
    let mut net = layers.add(nn::ReLU).add(nn::Flatten).add(nn::Dropout::new(0.5).unwrap()).add(nn::Linear::new(4 * 36, 10).unwrap());
    net.eval();
    net
}

#[test]
fn what_programs_share_is_send_and_sync() {
    fn shared<T: Send + Sync>() {}
    shared::<Tensor>();
    shared::<nn::Sequential>();
    shared::<nn::LSTM>();
    shared::<nn::TransformerEncoderLayer>();
    shared::<rustnn::io::StateDict>();
    shared::<Generator>();
    shared::<rustnn::Error>();
    shared::<rustnn::optim::AdamW>();
    shared::<rustnn::data::DataLoader<rustnn::data::TensorDataset>>();
}

#[test]
fn one_network_answers_many_threads_with_the_same_bits() {
    let net = Arc::new(network());
    let x = Tensor::rand([8, 1, 8, 8]).unwrap();
    let wanted = floats(&net.forward(&x).unwrap());
    let workers: Vec<_> = (0..8)
        .map(|i| {
            let (net, x) = (net.clone(), x.clone());
            thread::spawn(move || {
                // Half of them record, half do not: the mode is each thread's own.
                let quiet = (i % 2 == 0).then(autograd::no_grad);
                let found: Vec<Tensor> = (0..20).map(|_| net.forward(&x).unwrap()).collect();
                assert!(found.iter().all(|y| y.requires_grad() == quiet.is_none()));
                found.iter().map(floats).collect::<Vec<_>>()
            })
        })
        .collect();
    for worker in workers {
        assert!(worker.join().unwrap().iter().all(|found| *found == wanted));
    }
}

#[test]
fn gradients_of_several_threads_add_up_in_one_network() {
    // Both the first gradient of all and later ones meet others on their way.
    for _ in 0..50 {
        let layer = Arc::new(nn::Linear::with(3, 1, false).unwrap());
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let layer = layer.clone();
                let run = move || layer.forward(&Tensor::ones([1, 3]).unwrap()).unwrap().sum().unwrap().backward().unwrap();
                thread::spawn(move || (0..3).for_each(|_| run()))
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        assert_eq!(floats(&layer.weight.grad().unwrap()), [24.0; 3]);
    }
}

#[test]
fn a_pool_of_the_callers_is_used_and_gives_the_same_bits() {
    let pool = threads::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let net = network();
    let x = Tensor::rand([64, 1, 8, 8]).unwrap();
    let own = floats(&net.forward(&x).unwrap());
    let (threads, lent) = threads::with_pool(&pool, || (threads::num_threads(), floats(&net.forward(&x).unwrap())));
    assert_eq!(threads, 3);
    assert_eq!(lent, own);
    let inside = pool.install(|| floats(&net.forward(&x).unwrap()));
    assert_eq!(inside, own);
}

#[test]
fn a_thread_that_panics_leaves_the_others_what_they_share() {
    let net = Arc::new(network());
    let generator = Generator::new(5);
    let pool = Arc::new(threads::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
    let x = Tensor::rand([64, 1, 8, 8]).unwrap();
    let wanted = floats(&net.forward(&x).unwrap());
    let worker = {
        let (net, generator, pool, x) = (net.clone(), generator.clone(), pool.clone(), x.clone());
        thread::spawn(move || {
            let _quiet = autograd::no_grad();
            generator.scope(|| {
                threads::with_pool(&pool, || {
                    let _ = net.forward(&x);
                    let _ = Tensor::rand([3]);
                    std::panic::resume_unwind(Box::new("on purpose"))
                })
            })
        })
    };
    assert!(worker.join().is_err());
    assert_eq!(floats(&net.forward(&x).unwrap()), wanted);
    assert_eq!(threads::with_pool(&pool, || floats(&net.forward(&x).unwrap())), wanted);
    assert!(generator.scope(|| Tensor::rand([3])).is_ok());
    net.forward(&x).unwrap().sum().unwrap().backward().unwrap();

    // The same on one thread, caught: its modes are as before.
    let caught = std::panic::catch_unwind(|| {
        let _quiet = autograd::no_grad();
        Generator::new(1).scope(|| std::panic::resume_unwind(Box::new("on purpose")))
    });
    assert!(caught.is_err() && autograd::is_enabled());
}

#[test]
fn a_generators_numbers_depend_on_its_seed_alone() {
    let draw = |seed| floats(&Generator::new(seed).scope(|| Tensor::randn([5])).unwrap());
    let workers: Vec<_> = (0..4).map(|_| thread::spawn(move || draw(9))).collect();
    let wanted = draw(9);
    assert!(workers.into_iter().all(|worker| worker.join().unwrap() == wanted));
    assert_ne!(draw(10), wanted);
    let generator = Generator::new(2);
    let state = generator.state();
    let first = floats(&generator.scope(|| Tensor::rand([4])).unwrap());
    generator.set_state(state);
    assert_eq!(floats(&generator.scope(|| Tensor::rand([4])).unwrap()), first);
}

#[test]
fn an_embedding_program_has_the_last_word_on_what_the_process_shares() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "threads::shared_state", "--ignored", "--test-threads=1"])
        .env_remove("RUSTNN_NUM_THREADS")
        .env_remove("RUSTNN_CACHE_BYTES")
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}

/// The threads of this process, where the system tells.
fn living() -> Option<usize> {
    std::fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}

#[test]
#[ignore = "run by the test above, in a process of its own: it counts the process's threads and memory"]
fn shared_state() {
    let net = network();
    let x = Tensor::rand([64, 1, 8, 8]).unwrap();
    let work = || {
        net.forward(&x).unwrap();
        Tensor::ones([300, 300]).unwrap().matmul(&Tensor::ones([300, 300]).unwrap()).unwrap();
        Tensor::ones([1 << 20]).unwrap().exp().unwrap().sum().unwrap();
    };

    // Threads: none but those of a pool that is lent, and none at all where one was asked for.
    let pool = threads::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let before = living();
    threads::with_pool(&pool, work);
    pool.install(work);
    assert_eq!(living(), before, "threads beside the lent pool's");
    let processors = threads::num_threads();
    threads::set_num_threads(1);
    work();
    assert_eq!((living(), threads::num_threads()), (before, 1), "threads where one was asked for");
    for absurd in [0, usize::MAX] {
        threads::set_num_threads(absurd);
        assert!((1..=1024).contains(&threads::num_threads()), "{}", threads::num_threads());
    }
    threads::set_num_threads(2);
    work();
    assert!(before.is_none() || living() > before || processors == 1, "the count tells threads");

    // Memory: what is kept goes back when asked for, and nothing is kept where nothing may be.
    memory::empty_cache();
    work();
    assert!(memory::kept_bytes() > 1 << 20, "{}", memory::kept_bytes());
    memory::set_cache_bytes(1 << 16);
    assert!(memory::kept_bytes() <= 2 << 16, "{}", memory::kept_bytes());
    memory::set_cache_bytes(0);
    assert_eq!(memory::kept_bytes(), 0);
    work();
    assert_eq!(memory::kept_bytes(), 0);
    memory::set_cache_bytes(1 << 30);
    work();
    assert!(memory::kept_bytes() > 1 << 20, "{}", memory::kept_bytes());

    // Random numbers: a scope neither sees nor moves the program's stream.
    rustnn::random::manual_seed(4);
    let wanted = floats(&Tensor::rand([4]).unwrap());
    rustnn::random::manual_seed(4);
    Generator::new(1).scope(|| Tensor::rand([9])).unwrap();
    assert_eq!(floats(&Tensor::rand([4]).unwrap()), wanted);

    // Where new tensors lie, and whether ops are recorded, is each thread's own affair.
    rustnn::with_device(rustnn::Device::Meta, || {
        let _quiet = autograd::no_grad();
        let other = thread::spawn(|| (autograd::is_enabled(), Tensor::ones([1]).unwrap().device()));
        assert_eq!(other.join().unwrap(), (true, rustnn::Device::Cpu));
        assert_eq!(Tensor::ones([1]).unwrap().device(), rustnn::Device::Meta);
    });
    assert!(autograd::is_enabled());
    assert_eq!(Tensor::ones([1]).unwrap().device(), rustnn::Device::Cpu);
}

#[test]
fn guards_that_end_in_any_order_leave_recording_as_it_was() {
    let (a, b) = (autograd::no_grad(), autograd::no_grad());
    drop(a);
    assert!(!autograd::is_enabled());
    drop(b);
    assert!(autograd::is_enabled());
}

/// `copy_` of the input into the only weight, which is returned.
fn remembers(role: Role, written: bool, n: usize) -> Program {
    let node = Node {
        op: "copy_".into(),
        args: vec![("self".into(), Value::Tensor(1)), ("src".into(), Value::Tensor(0))],
        outs: vec![1],
        grad: true,
        reads: Vec::new(),
    };
    let weight = Weight { name: "last".into(), aliases: Vec::new(), role, written, tensor: Tensor::zeros([n]).expect("a tensor") };
    let input = Input { name: "x".into(), dtype: DType::F32, shape: vec![Size::Known(n as i64)] };
    let graph =
        Graph { inputs: vec![input], weights: vec![weight], nodes: vec![node], outputs: vec![1], trees: "{}".into(), ..Graph::default() };
    Program::new(graph).expect("a program")
}

#[test]
fn calls_of_a_program_that_writes_its_weights_take_turns() {
    const N: usize = 1 << 18;
    for role in [Role::Buffer, Role::Parameter, Role::Constant] {
        let program = remembers(role, true, N);
        thread::scope(|scope| {
            for k in 1..=4 {
                let program = &program;
                scope.spawn(move || {
                    let x = Tensor::full([N], f64::from(k), DType::F32).expect("a tensor");
                    for _ in 0..50 {
                        let own = floats(&program.infer(std::slice::from_ref(&x)).expect("a result")[0]);
                        assert!(own.iter().all(|&v| v == own[0]), "torn: {role:?}");
                        assert_eq!(own[0], k as f32, "another call's: {role:?}");
                    }
                });
            }
        });
        let kept = floats(program.weight("last").expect("the weight"))[0];
        assert_eq!(kept == 0.0, role == Role::Constant, "{role:?} begins each call with what the file says, or keeps what was written");
    }
}

#[test]
fn a_program_that_hides_what_it_writes_is_refused_before_it_writes() {
    for role in [Role::Buffer, Role::Parameter, Role::Constant] {
        let program = remembers(role, false, 4);
        let error = program.infer(&[Tensor::ones([4]).expect("a tensor")]).expect_err("it is refused");
        assert!(error.to_string().contains("\"last\""), "{error}");
        assert_eq!(floats(program.weight("last").expect("the weight")), [0.0; 4]);
    }
}
