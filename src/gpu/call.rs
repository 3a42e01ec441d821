//! One launch of a kernel that computes in f32 on row-major arrays: 16-bit and strided operands pass through f32 copies, results
//! of another dtype or layout through a temporary one that is copied back.

use crate::device::{Buffer, buffer};
use crate::elementwise::copy;
use crate::shader::{Binding, Shader};
use rustnn_tensor::{Array, DType, Device, Result};
use smallvec::SmallVec;
use std::borrow::Cow;

/// Invocations of a workgroup.
pub const WORKGROUP: u32 = 256;

/// A part of a kernel's text that stands before its own functions.
enum Item {
    Flag(&'static str, bool),
    Text(Cow<'static, str>),
    /// An array that is not there: what is read instead.
    Nothing(&'static str, &'static str),
    /// A result that is not asked for: the type of its elements.
    Nowhere(&'static str, &'static str),
}

impl Item {
    fn text(&self) -> String {
        match self {
            Item::Flag(name, value) => format!("const {name} = {value};\n"),
            Item::Text(text) => text.to_string(),
            Item::Nothing(name, default) => format!("fn {name}(i: u32) -> f32 {{ return {default}; }}\n"),
            Item::Nowhere(name, value) => format!("fn {name}_set(i: u32, v: {value}) {{}}\n"),
        }
    }
}

/// Text is put together only where the pipeline is not known yet: until then a call is a short key and its parameters.
pub struct Call {
    key: SmallVec<[u8; 96]>,
    bindings: SmallVec<[Binding; 8]>,
    arrays: SmallVec<[Array; 8]>,
    names: SmallVec<[(Cow<'static, str>, &'static str); 16]>,
    values: SmallVec<[u32; 32]>,
    items: SmallVec<[Item; 8]>,
    back: SmallVec<[(Array, Array); 2]>,
    flags: bool,
    unchecked: bool,
}

/// Whether kernels compute on it, in f32.
pub fn is_float(a: &Array) -> bool {
    matches!(a.dtype(), DType::F32 | DType::F16 | DType::BF16)
}

/// Whether all are floats that kernels compute on.
pub fn are_floats(arrays: &[Option<&Array>]) -> bool {
    arrays.iter().flatten().all(|a| is_float(a))
}

/// `a`, row by row.
pub fn rows_of(a: &Array) -> Result<Array> {
    if a.is_contiguous() {
        return Ok(a.clone());
    }
    let out = Array::empty(a.shape(), a.dtype(), a.device())?;
    copy_all(a, &out)?;
    Ok(out)
}

fn copy_all(a: &Array, out: &Array) -> Result<()> {
    if copy(a, out)? {
        return Ok(());
    }
    rustnn_tensor::bail!(Runtime, "gpu: an array of {} dimensions cannot be copied", a.rank())
}

/// What a kernel reads of an array: row-major, f32 where it is a float.
pub fn dense(a: &Array) -> Result<Array> {
    let dtype = if is_float(a) { DType::F32 } else { a.dtype() };
    if a.dtype() == dtype && a.is_contiguous() {
        return Ok(a.clone());
    }
    let out = Array::empty(a.shape(), dtype, a.device())?;
    copy_all(a, &out)?;
    Ok(out)
}

impl Call {
    pub fn new(name: &str) -> Call {
        Call {
            key: name.as_bytes().into(),
            bindings: SmallVec::new(),
            arrays: SmallVec::new(),
            names: SmallVec::new(),
            values: SmallVec::new(),
            items: SmallVec::new(),
            back: SmallVec::new(),
            flags: false,
            unchecked: false,
        }
    }

    fn mark(&mut self, name: &str, value: Option<bool>) {
        self.key.push(b'/');
        self.key.extend_from_slice(name.as_bytes());
        if let Some(value) = value {
            self.key.push(b'0' + value as u8);
        }
    }

    pub fn read(&mut self, name: &'static str, a: &Array) -> Result<()> {
        // Halves are widened as they are loaded.
        let a = rows_of(a)?;
        self.bindings.push(Binding::read(name, a.dtype()));
        self.arrays.push(a);
        Ok(())
    }

    pub fn reads<const N: usize>(&mut self, all: [(&'static str, &Array); N]) -> Result<()> {
        all.into_iter().try_for_each(|(name, a)| self.read(name, a))
    }

    /// As [`Call::read`]; integers are read as int64.
    pub fn read_wide(&mut self, name: &'static str, a: &Array) -> Result<()> {
        self.read(name, a)?;
        self.bindings.last_mut().expect("just bound").wide = true;
        self.mark(name, None);
        Ok(())
    }

    /// An operand of any layout, which the kernel reads by its strides; 16-bit floats are widened as they are loaded.
    pub fn read_strided(&mut self, name: &'static str, a: &Array) -> Result<()> {
        self.bindings.push(Binding::read(name, a.dtype()));
        self.arrays.push(a.clone());
        Ok(())
    }

    /// An operand that the kernel loads in fours, all at multiples of 4.
    pub fn read_quads(&mut self, name: &'static str, a: &Array) -> Result<()> {
        self.bindings.push(Binding { quads: true, ..Binding::read(name, a.dtype()) });
        self.arrays.push(a.clone());
        Ok(())
    }

    /// Where the arrays bound so far lie.
    pub fn device(&self) -> Option<Device> {
        self.arrays.first().map(Array::device)
    }

    /// An operand that may be missing: then `NAME(i)` is `default`. `NAME_given` tells.
    pub fn read_or(&mut self, name: &'static str, a: Option<&Array>, default: &'static str) -> Result<()> {
        self.mark(name, Some(a.is_some()));
        match a {
            Some(a) => self.read(name, a)?,
            None => self.items.push(Item::Nothing(name, default)),
        }
        Ok(())
    }

    /// A result, all of which the kernel writes.
    pub fn write(&mut self, name: &'static str, a: &Array) -> Result<()> {
        let dtype = if is_float(a) { DType::F32 } else { a.dtype() };
        let direct = a.dtype() == dtype && a.is_contiguous() && dtype.size_bytes() >= 4;
        let to = if direct {
            a.clone()
        } else {
            let wide = if dtype.size_bytes() >= 4 { dtype } else { DType::I32 };
            let to = Array::empty(a.shape(), wide, a.device())?;
            self.back.push((to.clone(), a.clone()));
            to
        };
        self.bindings.push(Binding::write(name, to.dtype()));
        self.arrays.push(to);
        Ok(())
    }

    /// A result that may not be asked for: then `NAME_set` does nothing.
    pub fn write_or(&mut self, name: &'static str, a: Option<&Array>, value_type: &'static str) -> Result<()> {
        self.mark(name, Some(a.is_some()));
        match a {
            Some(a) => self.write(name, a)?,
            None => self.items.push(Item::Nowhere(name, value_type)),
        }
        Ok(())
    }

    /// An array that is read and written at the same places.
    pub fn update(&mut self, name: &'static str, a: &Array) -> Result<()> {
        let to = dense(a)?;
        if !to.storage().same(a.storage()) {
            self.back.push((to.clone(), a.clone()));
        }
        self.bindings.push(Binding::write(name, to.dtype()));
        self.arrays.push(to);
        Ok(())
    }

    pub fn number(&mut self, name: impl Into<Cow<'static, str>>, value: usize) -> &mut Self {
        self.names.push((name.into(), "u32"));
        self.values.push(value as u32);
        self
    }

    pub fn integer(&mut self, name: &'static str, value: i64) -> &mut Self {
        self.names.push((name.into(), "i32"));
        self.values.push(value as i32 as u32);
        self
    }

    pub fn float(&mut self, name: &'static str, value: f64) -> &mut Self {
        self.names.push((name.into(), "f32"));
        self.values.push((value as f32).to_bits());
        self
    }

    /// A variant of the kernel, by a constant of its text.
    pub fn flag(&mut self, name: &'static str, value: bool) -> &mut Self {
        self.mark(name, Some(value));
        self.items.push(Item::Flag(name, value));
        self
    }

    /// A number that the text depends on.
    pub fn key_number(&mut self, value: usize) -> &mut Self {
        self.mark(&value.to_string(), None);
        self
    }

    /// A part of the text that differs between variants.
    pub fn variant(&mut self, key: &str, items: impl Into<Cow<'static, str>>) -> &mut Self {
        self.mark(key, None);
        self.items.push(Item::Text(items.into()));
        self
    }

    /// The kernel's indices follow from shapes alone.
    pub fn unchecked(&mut self) -> &mut Self {
        self.unchecked = true;
        self
    }

    /// The kernel may meet bad indices or values.
    pub fn flagged(&mut self) -> &mut Self {
        self.flags = true;
        self
    }

    /// One invocation for each `i < n`.
    pub fn each(mut self, n: usize, items: &str, body: &str) -> Result<bool> {
        self.number("n", n);
        let text = || (items.to_owned(), format!("if (i >= p.n) {{ return; }}\n{body}"));
        self.launch((n as u64).div_ceil(WORKGROUP as u64), WORKGROUP, &text)
    }

    /// One workgroup for each `group < groups`.
    pub fn run(self, groups: u64, workgroup: u32, items: &str, body: &str) -> Result<bool> {
        self.launch(groups, workgroup, &|| (items.to_owned(), body.to_owned()))
    }

    /// The same; functions and body are put together only where they are needed.
    pub fn launch(mut self, groups: u64, workgroup: u32, text: &dyn Fn() -> (String, String)) -> Result<bool> {
        // Results apart from everything else that is bound.
        for i in 0..self.arrays.len() {
            if !self.bindings[i].writes {
                continue;
            }
            let id = buffer(&self.arrays[i])?.id();
            let mut clash = false;
            for j in 0..self.arrays.len() {
                clash |= i != j && buffer(&self.arrays[j])?.id() == id;
            }
            if clash {
                let to = Array::empty(self.arrays[i].shape(), self.arrays[i].dtype(), self.arrays[i].device())?;
                copy(&self.arrays[i], &to)?;
                self.back.push((to.clone(), self.arrays[i].clone()));
                self.arrays[i] = to;
            }
        }
        let named = self.key.len();
        self.key.push(b',');
        self.key.extend(self.bindings.iter().map(|b| b.dtype as u8));
        let buffers: SmallVec<[&Buffer; 8]> = self.arrays.iter().map(buffer).collect::<Result<_>>()?;
        let mut values: SmallVec<[u32; 48]> = self.arrays.iter().map(|a| a.offset() as u32).collect();
        values.extend_from_slice(&self.values);
        let make = || {
            let (items, body) = text();
            let before: String = self.items.iter().map(Item::text).collect();
            let names: Vec<String> = self.names.iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
            let dtypes: Vec<&str> = self.bindings.iter().map(|b| b.dtype.name()).collect();
            let label = format!("{} {}", String::from_utf8_lossy(&self.key[..named]), dtypes.join(","));
            let mut shader = Shader::new(label, self.bindings.to_vec(), &names.iter().map(String::as_str).collect::<Vec<_>>(), body)
                .items(before + &items)
                .workgroup(workgroup);
            if self.flags {
                shader = shader.flagged();
            }
            shader.unchecked = self.unchecked;
            shader
        };
        let Some(first) = buffers.first() else { return Ok(false) };
        first.gpu().clone().run_cached(&self.key, false, make, &buffers, &values, groups)?;
        for (from, to) in self.back.iter().rev() {
            copy(from, to)?;
        }
        Ok(true)
    }
}
