//! One thread runs the program. What waits when it is free becomes one batch: no request waits for others to come.

use crate::Limits;
use rustnn::export::{Input, Program};
use rustnn::{Device, Result, Tensor};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

/// Why a request got no result.
#[derive(Clone, Debug, PartialEq)]
pub enum Refused {
    /// Too many wait.
    Busy,
    /// The program took the shapes, but not the values.
    Input(String),
    /// The program did not come back.
    Broken,
}

struct Job {
    inputs: Vec<Tensor>,
    reply: oneshot::Sender<std::result::Result<Vec<Tensor>, Refused>>,
}

impl Job {
    fn rows(&self) -> usize {
        self.inputs.first().and_then(|t| t.shape().first()).copied().unwrap_or(1)
    }

    /// Whether two jobs' inputs can be joined along dimension 0.
    fn fits(&self, other: &Job) -> bool {
        self.inputs.iter().zip(&other.inputs).all(|(a, b)| a.shape().get(1..) == b.shape().get(1..))
    }
}

/// Hands requests to the thread that runs the program.
pub struct Batcher(Sender<Job>);

impl Batcher {
    /// Starts the thread; it ends when the batcher is dropped and nothing waits.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(program: Program, limits: &Limits) -> std::io::Result<(Batcher, JoinHandle<()>)> {
        let (sender, receiver) = channel(limits.queue.max(1));
        let most = if joins(&program) && gives_rows(&program) { limits.batch_rows } else { 1 };
        let worker = std::thread::Builder::new().name("model".into()).spawn(move || work(&program, receiver, most))?;
        Ok((Batcher(sender), worker))
    }

    /// The outputs for inputs that `Program::check` took.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn run(&self, inputs: Vec<Tensor>) -> std::result::Result<Vec<Tensor>, Refused> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(Job { inputs, reply }).map_err(|_| Refused::Busy)?;
        answer.await.unwrap_or(Err(Refused::Broken))
    }
}

/// Whether rows of several requests may run together: dimension 0 of every input is one size that varies.
fn joins(program: &Program) -> bool {
    let first = |i: usize| program.inputs().get(i).and_then(|input| input.shape.first()?.symbol());
    first(0).is_some() && (0..program.inputs().len()).all(|i| first(i) == first(0))
}

/// Whether dimension 0 of every output counts the rows: an output of always 4 would otherwise look like those of 4 rows. Tried
/// with zeros on a copy, for the program may write its buffers.
fn gives_rows(program: &Program) -> bool {
    let Some(rows) = program.inputs().first().and_then(|input| input.shape.first()?.symbol()) else { return false };
    let Ok(copy) = program.to_device(Device::Cpu) else { return false };
    let counts = |n: i64| -> Result<bool> {
        let sizes: Vec<i64> =
            copy.symbols().iter().enumerate().map(|(at, symbol)| if at == rows { n } else { symbol.min.max(2) }).collect();
        let zeros = |input: &Input| -> Result<Tensor> {
            let shape: Vec<usize> = input.shape.iter().map(|size| Ok(size.value(&sizes)? as usize)).collect::<Result<_>>()?;
            Tensor::zeros(shape)?.to_dtype(input.dtype)
        };
        let inputs: Vec<Tensor> = copy.inputs().iter().map(zeros).collect::<Result<_>>()?;
        Ok(copy.infer(&inputs)?.iter().all(|out| out.shape().first() == Some(&(n as usize))))
    };
    let least = copy.symbols()[rows].min.max(2);
    [least, least + 1].into_iter().all(|n| catch_unwind(AssertUnwindSafe(|| counts(n))).is_ok_and(|counts| counts.unwrap_or(false)))
}

fn work(program: &Program, mut queue: Receiver<Job>, mut most: usize) {
    let mut left = None;
    while let Some(first) = left.take().or_else(|| queue.blocking_recv()) {
        let mut rows = first.rows();
        let mut jobs = vec![first];
        while rows < most {
            match queue.try_recv() {
                Ok(job) if rows + job.rows() <= most && job.fits(&jobs[0]) => {
                    rows += job.rows();
                    jobs.push(job);
                }
                Ok(job) => {
                    left = Some(job);
                    break;
                }
                Err(_) => break,
            }
        }
        if jobs.len() > 1 {
            match catch_unwind(AssertUnwindSafe(|| together(program, &jobs, rows))) {
                Ok(Ok(Some(outputs))) => {
                    jobs.into_iter().zip(outputs).for_each(|(job, outputs)| drop(job.reply.send(Ok(outputs))));
                    continue;
                }
                // Outputs that are no rows.
                Ok(Ok(None)) => most = 1,
                // One of them is at fault: each alone.
                Ok(Err(_)) | Err(_) => {}
            }
        }
        for job in jobs {
            let result = match catch_unwind(AssertUnwindSafe(|| program.infer(&job.inputs))) {
                Ok(result) => result.map_err(|error| Refused::Input(error.to_string())),
                Err(_) => Err(Refused::Broken),
            };
            drop(job.reply.send(result));
        }
    }
}

/// The outputs of each job, run as one batch; None if the outputs are no rows.
fn together(program: &Program, jobs: &[Job], rows: usize) -> Result<Option<Vec<Vec<Tensor>>>> {
    let joined = |i: usize| Tensor::cat(&jobs.iter().map(|job| job.inputs[i].clone()).collect::<Vec<_>>(), 0);
    let inputs = (0..jobs[0].inputs.len()).map(joined).collect::<Result<Vec<_>>>()?;
    let outputs = program.infer(&inputs)?;
    if outputs.iter().any(|out| out.shape().first() != Some(&rows)) {
        return Ok(None);
    }
    let mut at = 0;
    let mut each = Vec::with_capacity(jobs.len());
    for job in jobs {
        let cut = |out: &Tensor| out.narrow(0, at as i64, job.rows());
        each.push(outputs.iter().map(cut).collect::<Result<_>>()?);
        at += job.rows();
    }
    Ok(Some(each))
}
