//! Element types and PyTorch's promotion rules.

use half::{bf16, f16};

/// The type of a tensor's elements. Arithmetic exists for the types up to `Bool`; the rest are stored, viewed, copied
/// and saved by their width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DType {
    F32,
    F64,
    F16,
    BF16,
    I8,
    I16,
    I32,
    I64,
    U8,
    Bool,
    U16,
    U32,
    U64,
    C64,
    C128,
    F8E4M3FN,
    F8E5M2,
    F8E4M3FNUZ,
    F8E5M2FNUZ,
    C32,
}

/// The order of kinds in promotion: a wider kind always wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Bool,
    Integer,
    Float,
    Complex,
}

use DType::*;

impl DType {
    pub const ALL: [DType; 20] =
        [F32, F64, F16, BF16, I8, I16, I32, I64, U8, Bool, U16, U32, U64, C64, C128, F8E4M3FN, F8E5M2, F8E4M3FNUZ, F8E5M2FNUZ, C32];

    /// Width of one element.
    #[inline]
    pub const fn size_bytes(self) -> usize {
        match self {
            I8 | U8 | Bool | F8E4M3FN | F8E5M2 | F8E4M3FNUZ | F8E5M2FNUZ => 1,
            F16 | BF16 | I16 | U16 => 2,
            F32 | I32 | U32 | C32 => 4,
            F64 | I64 | U64 | C64 => 8,
            C128 => 16,
        }
    }

    #[inline]
    pub const fn kind(self) -> Kind {
        match self {
            Bool => Kind::Bool,
            I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64 => Kind::Integer,
            F32 | F64 | F16 | BF16 | F8E4M3FN | F8E5M2 | F8E4M3FNUZ | F8E5M2FNUZ => Kind::Float,
            C32 | C64 | C128 => Kind::Complex,
        }
    }

    pub const fn is_float(self) -> bool {
        matches!(self.kind(), Kind::Float)
    }

    pub const fn is_complex(self) -> bool {
        matches!(self.kind(), Kind::Complex)
    }

    /// Integer or bool.
    #[inline]
    pub const fn is_integral(self) -> bool {
        matches!(self.kind(), Kind::Integer | Kind::Bool)
    }

    pub const fn is_signed(self) -> bool {
        !matches!(self, U8 | U16 | U32 | U64 | Bool)
    }

    /// Only these can require gradients.
    #[inline]
    pub const fn is_differentiable(self) -> bool {
        matches!(self.kind(), Kind::Float | Kind::Complex)
    }

    /// Whether kernels compute on it (otherwise it is stored and copied only).
    pub const fn has_arithmetic(self) -> bool {
        (self as u8) <= Bool as u8
    }

    /// The name as PyTorch prints it after `torch.`.
    pub const fn name(self) -> &'static str {
        match self {
            F32 => "float32",
            F64 => "float64",
            F16 => "float16",
            BF16 => "bfloat16",
            I8 => "int8",
            I16 => "int16",
            I32 => "int32",
            I64 => "int64",
            U8 => "uint8",
            Bool => "bool",
            U16 => "uint16",
            U32 => "uint32",
            U64 => "uint64",
            C64 => "complex64",
            C32 => "complex32",
            C128 => "complex128",
            F8E4M3FN => "float8_e4m3fn",
            F8E5M2 => "float8_e5m2",
            F8E4M3FNUZ => "float8_e4m3fnuz",
            F8E5M2FNUZ => "float8_e5m2fnuz",
        }
    }

    /// C10's name, which most of PyTorch's messages use ("expected scalar type Float but found Double").
    pub const fn scalar_name(self) -> &'static str {
        match self {
            F32 => "Float",
            F64 => "Double",
            F16 => "Half",
            BF16 => "BFloat16",
            I8 => "Char",
            I16 => "Short",
            I32 => "Int",
            I64 => "Long",
            U8 => "Byte",
            Bool => "Bool",
            U16 => "UInt16",
            U32 => "UInt32",
            U64 => "UInt64",
            C64 => "ComplexFloat",
            C32 => "ComplexHalf",
            C128 => "ComplexDouble",
            F8E4M3FN => "Float8_e4m3fn",
            F8E5M2 => "Float8_e5m2",
            F8E4M3FNUZ => "Float8_e4m3fnuz",
            F8E5M2FNUZ => "Float8_e5m2fnuz",
        }
    }

    /// PyTorch's `torch.promote_types`. The unsigned types above 8 bits and float8 promote only with themselves and with
    /// floating types, as there; None where PyTorch refuses.
    pub fn promote(self, other: DType) -> Option<DType> {
        if self == other {
            return Some(self);
        }
        let (low, high) = if self.kind() <= other.kind() { (self, other) } else { (other, self) };
        let float8 = |d: DType| matches!(d, F8E4M3FN | F8E5M2 | F8E4M3FNUZ | F8E5M2FNUZ);
        if float8(low) || float8(high) {
            return None;
        }
        if low.kind() < high.kind() {
            return Some(match (low, high) {
                (F64, _) if high.kind() == Kind::Complex => C128,
                (F32 | BF16, C32) => C64,
                _ => high,
            });
        }
        let rank = |d: DType| match d {
            U8 | I8 => 0,
            I16 => 1,
            I32 => 2,
            I64 => 3,
            _ => 9,
        };
        match high.kind() {
            Kind::Integer if rank(low) == 9 || rank(high) == 9 => None,
            // U8 with I8 needs the next wider signed type.
            Kind::Integer if rank(low) == rank(high) => Some(I16),
            Kind::Integer => Some(if rank(low) > rank(high) { low } else { high }),
            Kind::Float => Some(match (low, high) {
                (F64, _) | (_, F64) => F64,
                // F16 with BF16 shares only F32.
                _ => F32,
            }),
            _ => Some(if low == C128 || high == C128 { C128 } else { C64 }),
        }
    }

    /// Whether a result of this type may be written into `to` (`out=`, in-place): PyTorch's `can_cast`.
    pub fn can_cast(self, to: DType) -> bool {
        match (self.kind(), to.kind()) {
            (Kind::Complex, k) if k != Kind::Complex => false,
            (Kind::Float, Kind::Integer | Kind::Bool) => false,
            (Kind::Integer, Kind::Bool) => false,
            _ => true,
        }
    }
}

/// A Rust type that is a tensor element.
pub trait Element: Copy + Send + Sync + 'static + PartialEq + std::fmt::Debug {
    const DTYPE: DType;
}

macro_rules! elements {
    ($($t:ty => $d:ident),*) => { $(impl Element for $t { const DTYPE: DType = DType::$d; })* };
}
elements!(f32 => F32, f64 => F64, f16 => F16, bf16 => BF16, i8 => I8, i16 => I16, i32 => I32, i64 => I64, u8 => U8, u16 => U16, u32 => U32, u64 => U64, bool => Bool);
