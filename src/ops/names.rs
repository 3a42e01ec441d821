//! Names of dtypes that PyTorch's messages use.

use rustnn_tensor::DType;

/// `FloatTensor`, as `Tensor.type()` says after `torch.`.
pub fn legacy_type(dtype: DType) -> String {
    format!("{}Tensor", dtype.scalar_name())
}

/// As PyTorch names the type that a number does not fit into.
pub fn number_type(dtype: DType) -> &'static str {
    match dtype {
        DType::I8 => "int8_t",
        DType::I16 => "int16_t",
        DType::I64 => "int64_t",
        DType::U8 => "uint8_t",
        DType::U16 => "uint16_t",
        DType::U32 => "uint32_t",
        DType::U64 => "uint64_t",
        other => type_meta(other),
    }
}

/// C++'s name, which some messages show.
pub fn type_meta(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float",
        DType::F64 => "double",
        DType::F16 => "c10::Half",
        DType::BF16 => "c10::BFloat16",
        DType::I8 => "signed char",
        DType::I16 => "short int",
        DType::I32 => "int",
        DType::I64 => "long int",
        DType::U8 => "unsigned char",
        DType::Bool => "bool",
        DType::C64 => "c10::complex<float>",
        DType::C128 => "c10::complex<double>",
        other => other.name(),
    }
}
