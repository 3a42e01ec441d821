//! Bodies of requests and answers.
//!
//! JSON: `{"inputs": {"x": [[1, 2]]}}`, or `{"inputs": [[1, 2]]}` where the model has one input; the answer is
//! `{"outputs": [[[0.5]]]}`, one entry for each output. npy (NumPy's `.npy`): the array of the only input; the answer is
//! the first output.

use rustnn::export::Input;
use rustnn::{DType, Element, Tensor};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt::{self, Write};

/// How deep arrays nest in JSON at most.
const MAX_RANK: usize = 8;

/// A form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    Npy,
}

impl Form {
    pub fn media_type(self) -> &'static str {
        match self {
            Form::Json => "application/json",
            Form::Npy => "application/x-npy",
        }
    }

    /// The tensors of a request, in the order of the program's inputs.
    ///
    /// # Errors
    /// What is wrong with the body, in words.
    pub fn read(self, bytes: &[u8], inputs: &[Input]) -> Result<Vec<Tensor>, String> {
        match self {
            Form::Json => {
                let mut json = serde_json::Deserializer::from_slice(bytes);
                let found = Request(inputs).deserialize(&mut json).map_err(|error| error.to_string())?;
                json.end().map_err(|error| error.to_string())?;
                Ok(found)
            }
            Form::Npy => match inputs {
                [only] => Ok(vec![from_npy(bytes, only.dtype)?]),
                _ => Err(format!("the model has {} inputs: an npy body holds one; send JSON", inputs.len())),
            },
        }
    }

    /// The answer of a program's outputs.
    ///
    /// # Errors
    /// For outputs that cannot be written so.
    pub fn write(self, outputs: &[Tensor]) -> Result<Vec<u8>, String> {
        match self {
            Form::Json => to_json(outputs),
            Form::Npy => outputs.first().map_or_else(|| Err("the model has no output".into()), to_npy),
        }
    }
}

// ----------------------------------------------------------------------------------------------------------------- JSON

/// Nested arrays of numbers, read straight into one buffer.
struct Numbers {
    shape: Vec<usize>,
    /// Known from the first innermost array on.
    rank: Option<usize>,
    values: Values,
}

enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I64(Vec<i64>),
    Bool(Vec<bool>),
}

impl Numbers {
    fn new(dtype: DType) -> Numbers {
        let values = match dtype {
            DType::F32 => Values::F32(Vec::new()),
            DType::Bool => Values::Bool(Vec::new()),
            dtype if dtype.is_float() => Values::F64(Vec::new()),
            _ => Values::I64(Vec::new()),
        };
        Numbers { shape: Vec::new(), rank: None, values }
    }

    fn leaf<E: serde::de::Error>(&mut self, depth: usize, float: f64, int: Option<i64>, bool: Option<bool>) -> Result<(), E> {
        if *self.rank.get_or_insert(depth) != depth {
            return Err(E::custom("arrays of different depth"));
        }
        match &mut self.values {
            Values::F32(all) => all.push(float as f32),
            Values::F64(all) => all.push(float),
            Values::I64(all) => all.push(int.ok_or_else(|| E::custom("expected an integer"))?),
            Values::Bool(all) => all.push(bool.ok_or_else(|| E::custom("expected true or false"))?),
        }
        Ok(())
    }

    fn into_tensor(self, dtype: DType) -> Result<Tensor, String> {
        let made = match &self.values {
            Values::F32(all) => Tensor::new(all, &self.shape),
            Values::F64(all) => Tensor::new(all, &self.shape),
            Values::I64(all) => Tensor::new(all, &self.shape),
            Values::Bool(all) => Tensor::new(all, &self.shape),
        };
        as_dtype(&made.map_err(|error| error.to_string())?, dtype)
    }
}

/// The value at a depth of nested arrays.
struct Nested<'a> {
    into: &'a mut Numbers,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Nested<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("numbers in arrays")
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.into.leaf(self.depth, value, None, None)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.into.leaf(self.depth, value as f64, Some(value), None)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.into.leaf(self.depth, value as f64, i64::try_from(value).ok(), None)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.into.leaf(self.depth, value.into(), Some(value.into()), Some(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if self.depth == MAX_RANK {
            return Err(A::Error::custom(format!("arrays nest deeper than {MAX_RANK}")));
        }
        let known = self.into.shape.len() > self.depth;
        if !known {
            // Filled in at the end of the first array of this depth.
            self.into.shape.push(usize::MAX);
        }
        let mut count = 0;
        while items.next_element_seed(Nested { into: &mut *self.into, depth: self.depth + 1 })?.is_some() {
            count += 1;
        }
        let size = &mut self.into.shape[self.depth];
        if *size == usize::MAX {
            *size = count;
        }
        if *size != count {
            let size = *size;
            return Err(A::Error::custom(format!("arrays of different length: {size} and {count} at depth {}", self.depth)));
        }
        Ok(())
    }
}

/// `{"inputs": …}`.
struct Request<'a>(&'a [Input]);

impl<'de> DeserializeSeed<'de> for Request<'_> {
    type Value = Vec<Tensor>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Tensor>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Request<'_> {
    type Value = Vec<Tensor>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(r#"{"inputs": …}"#)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Tensor>, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "inputs" && found.is_none() {
                found = Some(map.next_value_seed(Inputs(self.0))?);
            } else if key == "inputs" {
                return Err(A::Error::custom("\"inputs\" comes twice"));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        found.ok_or_else(|| A::Error::custom("the body has no \"inputs\""))
    }
}

/// What stands under `inputs`: an object by name, or the only input's arrays.
struct Inputs<'a>(&'a [Input]);

impl<'de> DeserializeSeed<'de> for Inputs<'_> {
    type Value = Vec<Tensor>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Tensor>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Inputs<'_> {
    type Value = Vec<Tensor>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|input| input.name.as_str()).collect();
        write!(f, "the model's inputs by name: {}", names.join(", "))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Vec<Tensor>, A::Error> {
        let [only] = self.0 else { return Err(A::Error::custom("the model has several inputs: send them by name")) };
        let mut numbers = Numbers::new(only.dtype);
        Nested { into: &mut numbers, depth: 0 }.visit_seq(items)?;
        Ok(vec![numbers.into_tensor(only.dtype).map_err(A::Error::custom)?])
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Tensor>, A::Error> {
        let mut found: Vec<Option<Tensor>> = vec![None; self.0.len()];
        while let Some(name) = map.next_key::<String>()? {
            let Some(at) = self.0.iter().position(|input| input.name == name) else {
                return Err(A::Error::custom(format!("the model has no input {name:?}")));
            };
            let dtype = self.0[at].dtype;
            let mut numbers = Numbers::new(dtype);
            map.next_value_seed(Nested { into: &mut numbers, depth: 0 })?;
            found[at] = Some(numbers.into_tensor(dtype).map_err(A::Error::custom)?);
        }
        let all = self.0.iter().zip(found).map(|(input, tensor)| tensor.ok_or_else(|| format!("input {:?} is missing", input.name)));
        all.collect::<Result<_, String>>().map_err(A::Error::custom)
    }
}

/// With the model's dtype.
///
/// # Errors
/// If it does not hold one of the integers.
fn as_dtype(tensor: &Tensor, dtype: DType) -> Result<Tensor, String> {
    let text = |error: rustnn::Error| error.to_string();
    let out = tensor.to_dtype(dtype).map_err(text)?;
    if tensor.dtype() == DType::I64 && !dtype.is_float() && dtype != DType::I64 {
        let (given, kept) = (elements::<i64>(tensor)?, elements::<i64>(&out.to_dtype(DType::I64).map_err(text)?)?);
        if let Some((number, _)) = given.iter().zip(&kept).find(|(a, b)| a != b) {
            return Err(format!("{number} is no {}", dtype.name()));
        }
    }
    Ok(out)
}

fn elements<T: Element>(tensor: &Tensor) -> Result<Vec<T>, String> {
    tensor.to_vec().map_err(|error| error.to_string())
}

fn to_json(outputs: &[Tensor]) -> Result<Vec<u8>, String> {
    let mut text = String::from("{\"outputs\":[");
    for (i, out) in outputs.iter().enumerate() {
        text.push_str(if i > 0 { "," } else { "" });
        match out.dtype() {
            // JSON has no NaN and no infinity: null, as JavaScript does it.
            DType::F32 => nested(&mut text, out.shape(), &elements::<f32>(out)?, &|text, &v| {
                let _ = if v.is_finite() { write!(text, "{v}") } else { write!(text, "null") };
            }),
            dtype if dtype.is_float() => {
                let wide = out.to_dtype(DType::F64).map_err(|error| error.to_string())?;
                nested(&mut text, out.shape(), &elements::<f64>(&wide)?, &|text, &v| {
                    let _ = if v.is_finite() { write!(text, "{v}") } else { write!(text, "null") };
                });
            }
            DType::Bool => nested(&mut text, out.shape(), &elements::<bool>(out)?, &|text, v| {
                let _ = write!(text, "{v}");
            }),
            _ => {
                let wide = out.to_dtype(DType::I64).map_err(|error| error.to_string())?;
                nested(&mut text, out.shape(), &elements::<i64>(&wide)?, &|text, v| {
                    let _ = write!(text, "{v}");
                });
            }
        }
    }
    text.push_str("]}");
    Ok(text.into_bytes())
}

fn nested<T>(text: &mut String, shape: &[usize], values: &[T], one: &dyn Fn(&mut String, &T)) {
    let Some((&count, rest)) = shape.split_first() else { return one(text, &values[0]) };
    let step: usize = rest.iter().product();
    text.push('[');
    for i in 0..count {
        text.push_str(if i > 0 { "," } else { "" });
        nested(text, rest, &values[i * step..(i + 1) * step], one);
    }
    text.push(']');
}

// ------------------------------------------------------------------------------------------------------------------ npy

const MAGIC: &[u8] = b"\x93NUMPY";

const NPY: [(DType, &str); 9] = [
    (DType::F32, "<f4"),
    (DType::F64, "<f8"),
    (DType::F16, "<f2"),
    (DType::I64, "<i8"),
    (DType::I32, "<i4"),
    (DType::I16, "<i2"),
    (DType::I8, "|i1"),
    (DType::U8, "|u1"),
    (DType::Bool, "|b1"),
];

/// The value of a key in the header, which is a Python literal of one dict: up to the comma or bracket that ends it.
fn field<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let rest = header.split_once(&format!("'{key}':"))?.1.trim_start();
    let end = if let Some(inside) = rest.strip_prefix('(') { inside.find(')')? + 2 } else { rest.find([',', '}'])? };
    rest.get(..end).map(str::trim)
}

fn from_npy(bytes: &[u8], dtype: DType) -> Result<Tensor, String> {
    let short = || "the npy file breaks off".to_string();
    if bytes.get(..6) != Some(MAGIC) {
        return Err("the body is no npy file".into());
    }
    let (start, length) = match bytes.get(6) {
        Some(1) => (10, u16::from_le_bytes(bytes.get(8..10).ok_or_else(short)?.try_into().map_err(|_| short())?) as usize),
        Some(2 | 3) => (12, u32::from_le_bytes(bytes.get(8..12).ok_or_else(short)?.try_into().map_err(|_| short())?) as usize),
        _ => return Err("npy versions 1, 2 and 3 are known".into()),
    };
    let end = start + length;
    let header = std::str::from_utf8(bytes.get(start..end).ok_or_else(short)?).map_err(|_| "the npy header is no text".to_string())?;
    let missing = |key: &str| format!("the npy header has no {key}");
    let kind = field(header, "descr").ok_or_else(|| missing("descr"))?.trim_matches('\'');
    let found = NPY.iter().find(|(_, code)| *code == kind || (code.starts_with('|') && kind.get(1..) == code.get(1..)));
    let Some(&(stored, _)) = found else { return Err(format!("the npy dtype {kind} is not known here")) };
    if field(header, "fortran_order").ok_or_else(|| missing("fortran_order"))? != "False" {
        return Err("the npy array is in Fortran order; send np.ascontiguousarray(x)".into());
    }
    let sizes = field(header, "shape").ok_or_else(|| missing("shape"))?.trim_matches(['(', ')']);
    let sizes = sizes.split(',').map(str::trim).filter(|s| !s.is_empty()).map(|s| s.parse::<usize>().map_err(|_| "a bad npy shape".into()));
    let shape = sizes.collect::<Result<Vec<_>, String>>()?;
    if stored != dtype {
        return Err(format!("the model takes {}, the npy array is {}", dtype.name(), stored.name()));
    }
    Tensor::from_bytes(&bytes[end..], &shape, stored).map_err(|error| error.to_string())
}

fn to_npy(tensor: &Tensor) -> Result<Vec<u8>, String> {
    let Some((_, code)) = NPY.iter().find(|(dtype, _)| *dtype == tensor.dtype()) else {
        return Err(format!("npy has no {}", tensor.dtype().name()));
    };
    let sizes: String = tensor.shape().iter().map(|n| format!("{n}, ")).collect();
    let mut header = format!("{{'descr': '{code}', 'fortran_order': False, 'shape': ({}), }}", sizes.trim_end());
    // The data begins at a multiple of 64 bytes.
    let padded = (10 + header.len() + 1).next_multiple_of(64);
    header.extend(std::iter::repeat_n(' ', padded - 10 - header.len() - 1));
    header.push('\n');
    let length = u16::try_from(header.len()).map_err(|_| "too many dimensions".to_string())?;
    let mut out = [MAGIC, &[1, 0], &length.to_le_bytes(), header.as_bytes()].concat();
    out.extend(tensor.to_bytes().map_err(|error| error.to_string())?);
    Ok(out)
}
