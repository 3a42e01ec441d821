//! PyTorch checkpoints (`.pt`, `.pth`) and safetensors files, read and written without PyTorch.
//!
//! Loading never runs code: the pickle machine builds plain data ([`Graph`]) and knows a closed list of names. Every
//! size a file declares is checked against the file before anything is allocated for it.
//!
//! ```
//! use rustnn_io::{Graph, Object, Options, SliceStorages, StorageSpec, Tensor, Value};
//! use rustnn_tensor::DType;
//!
//! let mut graph = Graph::new();
//! let weight = Tensor::contiguous(rustnn_io::StorageId(0), DType::F32, vec![2]);
//! let weight = graph.add(Object::Tensor(Box::new(weight)));
//! let state = graph.add(Object::dict(vec![(Value::from("weight"), Value::Object(weight))]));
//!
//! let bytes = [1.0f32.to_le_bytes(), 2.0f32.to_le_bytes()].concat();
//! let storages = SliceStorages(vec![StorageSpec { location: "cpu".into(), bytes: &bytes }]);
//! let mut file = Vec::new();
//! rustnn_io::write_checkpoint(&mut file, "archive", &graph, &Value::Object(state), &storages).unwrap();
//!
//! let checkpoint = rustnn_io::read_checkpoint(file, &Options::default()).unwrap();
//! let weight = checkpoint.graph.get(&checkpoint.root, "weight").unwrap();
//! let tensor = checkpoint.graph.tensor(weight).unwrap();
//! assert_eq!(checkpoint.read_storage(tensor.storage.unwrap()).unwrap(), bytes);
//! ```

mod atomic;
mod checkpoint;
mod error;
mod globals;
mod inspect;
mod legacy;
pub mod pickle;
mod save;
mod source;
mod tar;
mod tensors;
mod unpickle;
mod value;
pub mod zip;

pub use atomic::write_atomically;
pub use checkpoint::{Checkpoint, Format, Package, StorageEntry, load_checkpoint, read_checkpoint};
pub use error::{Error, ErrorKind, Result};
pub use inspect::{GlobalUse, Summary, TensorSummary, inspect, inspect_source};
pub use save::{
    SliceStorages, StorageSpec, StorageWriter, WriteOptions, archive_name, save_checkpoint, save_checkpoint_with, write_checkpoint,
    write_checkpoint_with, write_pickled,
};
pub use source::Source;
pub use tensors::{SafeTensor, SafeTensors, SafeView, load_safetensors, read_safetensors, save_safetensors, write_safetensors};
pub use unpickle::{Encoding, Globals, Limits, Options};
pub use value::{DictKind, Graph, Instance, Object, ObjectId, Step, StorageId, StorageRef, Tensor, Value};
