//! The zip container of checkpoints: a strict reader and a writer with PyTorch's exact layout.
//!
//! Strict means one reading only: the end record is the file's last bytes, the directory lies right before it, every
//! entry's own header agrees with the directory, names are unique, and no two entries share a byte. So a file cannot say
//! one thing to this reader and another to the next, and nothing expands beyond what it declares.
//! Source: PKWARE APPNOTE 6.3.10; `caffe2/serialize/inline_container.cc` for alignment and records.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Mutex;

use crate::error::{Error, Result};
use crate::source::{Source, zeroed};
use crate::unpickle::Limits;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END64: u32 = 0x0606_4b50;
const LOCATOR64: u32 = 0x0706_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;

/// Records start at multiples of this many bytes, so that a mapped file serves every dtype.
const ALIGNMENT: u64 = 64;

/// Sizes and offsets from here on need the 64-bit fields.
const FIRST_64: u64 = 0xffff_ffff;

fn fail<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::Zip(message.into()))
}

/// A cursor over bytes that were read; every step checked.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        match self.0.split_at_checked(count) {
            Some((part, rest)) => {
                self.0 = rest;
                Ok(part)
            }
            None => fail("a header is cut short"),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.bytes(N)?);
        Ok(out)
    }

    fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}

/// One record of the archive.
#[derive(Clone, Debug)]
pub struct Record {
    pub name: String,
    /// Bytes as stored, and as read.
    pub stored_bytes: u64,
    pub len_bytes: u64,
    pub is_deflated: bool,
    crc: u32,
    /// Where the stored bytes begin in the file.
    pub offset: u64,
}

/// An opened archive: its directory, fully checked; data is read on demand.
#[derive(Clone, Debug)]
pub struct Archive {
    source: Source,
    records: Vec<Record>,
    by_name: HashMap<String, usize>,
}

impl Archive {
    /// Reads and checks the directory.
    pub fn open(source: Source, limits: &Limits) -> Result<Archive> {
        let end = find_end(&source)?;
        if end.count > limits.records as u64 {
            return Err(Error::Limit(format!("the zip file has {} records, more than the limit of {}", end.count, limits.records)));
        }
        let directory = source.read_vec(end.directory_offset, end.directory_bytes)?;
        // Each entry takes at least 46 bytes: a count that cannot be must not reserve anything.
        if end.count > end.directory_bytes / 46 {
            return fail("the directory is too short for its number of records");
        }
        let mut records = Vec::with_capacity(end.count as usize);
        let mut by_name = HashMap::with_capacity(end.count as usize);
        let mut headers = Vec::with_capacity(end.count as usize);
        let mut fields = Fields(&directory);
        let mut inflated: u64 = 0;
        for index in 0..end.count as usize {
            let (record, header_offset) = read_central(&mut fields)?;
            if by_name.insert(record.name.clone(), index).is_some() {
                return fail(format!("record {:?} comes twice", record.name));
            }
            if record.is_deflated {
                inflated = inflated.saturating_add(record.len_bytes);
                // Deflate cannot exceed 1032 to 1.
                if record.len_bytes / 1032 > record.stored_bytes {
                    return fail(format!("record {:?} claims to expand beyond what deflate can", record.name));
                }
            }
            headers.push(header_offset);
            records.push(record);
        }
        if !fields.0.is_empty() {
            return fail("the directory is longer than its records");
        }
        if inflated > source.len_bytes().saturating_add(limits.inflated_bytes) {
            return Err(Error::Limit(format!(
                "compressed records expand to {inflated} bytes, {} more than the file has; raise the limit on inflated_bytes",
                inflated - source.len_bytes()
            )));
        }
        let mut spans = Vec::with_capacity(records.len());
        for (record, header_offset) in records.iter_mut().zip(headers) {
            record.offset = check_local(&source, record, header_offset, end.directory_offset)?;
            spans.push((header_offset, record.offset + record.stored_bytes));
        }
        spans.sort_unstable();
        if spans.windows(2).any(|pair| pair[0].1 > pair[1].0) {
            return fail("two records overlap");
        }
        Ok(Archive { source, records, by_name })
    }

    pub fn records(&self) -> &[Record] {
        &self.records
    }

    pub fn record(&self, name: &str) -> Option<&Record> {
        self.by_name.get(name).map(|&index| &self.records[index])
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Reads a record into `out`, which has its length; `verify` compares the CRC-32.
    pub fn read_into(&self, record: &Record, out: &mut [u8], verify: bool) -> Result<()> {
        self.read_into_by(record, out, verify, &|count, part| (0..count).for_each(part))
    }

    /// [`Archive::read_into`] in parts, which `spread(count, part)` may run at the same time: `part(0)` to `part(count - 1)`.
    pub fn read_into_by(&self, record: &Record, out: &mut [u8], verify: bool, spread: Spread<'_>) -> Result<()> {
        if out.len() as u64 != record.len_bytes {
            return Err(Error::Value(format!("record {:?} has {} bytes, the buffer {}", record.name, record.len_bytes, out.len())));
        }
        if record.is_deflated {
            let stored = self.source.read_vec(record.offset, record.stored_bytes)?;
            match miniz_oxide::inflate::decompress_slice_iter_to_slice(out, std::iter::once(&stored[..]), false, true) {
                Ok(count) if count == out.len() => {}
                _ => return fail(format!("record {:?} does not inflate to its {} bytes", record.name, record.len_bytes)),
            }
            return self.check(record, verify.then(|| crc32fast::hash(out)));
        }
        let parts: Vec<_> = out.chunks_mut(PART_BYTES).map(|part| Mutex::new((part, Ok(None)))).collect();
        spread(parts.len(), &|index| {
            // Each part is one call's own; a lock is how that is said without `unsafe`.
            let Ok(mut part) = parts[index].lock() else { return };
            let (bytes, result) = &mut *part;
            *result = self.read_part(record.offset + (index * PART_BYTES) as u64, bytes, verify);
        });
        let mut sum = verify.then(crc32fast::Hasher::new);
        for part in parts {
            let (_, result) = part.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
            if let (Some(sum), Some(hasher)) = (&mut sum, result?) {
                sum.combine(&hasher);
            }
        }
        self.check(record, sum.map(crc32fast::Hasher::finalize))
    }

    fn read_part(&self, offset: u64, out: &mut [u8], verify: bool) -> Result<Option<crc32fast::Hasher>> {
        let mut hasher = verify.then(crc32fast::Hasher::new);
        for (index, piece) in out.chunks_mut(PIECE_BYTES).enumerate() {
            self.source.read_at(offset + (index * PIECE_BYTES) as u64, piece)?;
            if let Some(hasher) = &mut hasher {
                hasher.update(piece);
            }
        }
        Ok(hasher)
    }

    fn check(&self, record: &Record, crc: Option<u32>) -> Result<()> {
        // Zero: the writer did not compute it (PyTorch's `set_crc32_options(False)`, `skip_data`).
        if record.crc != 0 && crc.is_some_and(|crc| crc != record.crc) {
            return fail(format!("invalid CRC-32 of record {:?}: its bytes have changed since it was written", record.name));
        }
        Ok(())
    }

    /// A record's bytes.
    pub fn read(&self, record: &Record, verify: bool) -> Result<Vec<u8>> {
        let mut out = zeroed(record.len_bytes)?;
        self.read_into(record, &mut out, verify)?;
        Ok(out)
    }
}

struct End {
    count: u64,
    directory_offset: u64,
    directory_bytes: u64,
}

fn find_end(source: &Source) -> Result<End> {
    const END_BYTES: u64 = 22;
    let len = source.len_bytes();
    if len < END_BYTES {
        return fail("the file is too short to be a zip file");
    }
    let tail_bytes = len.min(END_BYTES + 0xffff);
    let tail = source.read_vec(len - tail_bytes, tail_bytes)?;
    // The comment must reach exactly to the end, so that bytes in it cannot pass for the record.
    let at = (0..=tail.len() - END_BYTES as usize).rev().find(|&at| {
        tail[at..at + 4] == END.to_le_bytes()
            && at + END_BYTES as usize + usize::from(u16::from_le_bytes([tail[at + 20], tail[at + 21]])) == tail.len()
    });
    let Some(at) = at else {
        return fail("failed finding central directory; the file was cut short, or bytes were added to its end");
    };
    let end_offset = len - tail_bytes + at as u64;
    let mut fields = Fields(&tail[at + 4..]);
    let (disk, directory_disk, count_here, count) = (fields.u16()?, fields.u16()?, fields.u16()?, fields.u16()?);
    let (directory_bytes, directory_offset) = (fields.u32()?, fields.u32()?);
    // PyTorch writes the 64-bit record always, needed or not.
    let has_64 = end_offset >= 20 && source.read_vec(end_offset - 20, 4)? == LOCATOR64.to_le_bytes();
    let (end, before) = if has_64 {
        let locator = source.read_vec(end_offset - 20, 20)?;
        let mut fields = Fields(&locator[4..]);
        let (disk, offset, disks) = (fields.u32()?, fields.u64()?, fields.u32()?);
        if disk != 0 || disks > 1 {
            return fail("archives over several disks are not supported");
        }
        if offset.checked_add(56).is_none_or(|end| end > end_offset - 20) {
            return fail("the 64-bit end record is out of place");
        }
        let record = source.read_vec(offset, 56)?;
        let mut fields = Fields(&record);
        if fields.u32()? != END64 {
            return fail("the 64-bit end record is missing");
        }
        if fields.u64()?.checked_add(12 + offset) != Some(end_offset - 20) {
            return fail("the 64-bit end record has a wrong length");
        }
        fields.bytes(4)?;
        let (disk, directory_disk) = (fields.u32()?, fields.u32()?);
        if disk != 0 || directory_disk != 0 {
            return fail("archives over several disks are not supported");
        }
        let (count_here, count_64) = (fields.u64()?, fields.u64()?);
        let (directory_bytes_64, directory_offset_64) = (fields.u64()?, fields.u64()?);
        if count_here != count_64
            || (count != u16::MAX && u64::from(count) != count_64)
            || (directory_bytes != u32::MAX && u64::from(directory_bytes) != directory_bytes_64)
            || (directory_offset != u32::MAX && u64::from(directory_offset) != directory_offset_64)
        {
            return fail("the two end records contradict each other");
        }
        (End { count: count_64, directory_bytes: directory_bytes_64, directory_offset: directory_offset_64 }, offset)
    } else {
        if disk != 0 || directory_disk != 0 || count_here != count {
            return fail("archives over several disks are not supported");
        }
        let end = End { count: count.into(), directory_bytes: directory_bytes.into(), directory_offset: directory_offset.into() };
        (end, end_offset)
    };
    if end.directory_offset.checked_add(end.directory_bytes) != Some(before) {
        return fail("the directory is not where the end record says");
    }
    Ok(end)
}

/// Reads one entry of the directory; also gives where its local header is.
fn read_central(fields: &mut Fields<'_>) -> Result<(Record, u64)> {
    if fields.u32()? != CENTRAL {
        return fail("a directory entry has no signature");
    }
    fields.bytes(4)?;
    let (flags, method) = (fields.u16()?, fields.u16()?);
    fields.bytes(4)?;
    let crc = fields.u32()?;
    let (stored, len) = (fields.u32()?, fields.u32()?);
    let (name_bytes, extra_bytes, comment_bytes) = (fields.u16()?, fields.u16()?, fields.u16()?);
    fields.bytes(8)?;
    let header = fields.u32()?;
    let name = match std::str::from_utf8(fields.bytes(name_bytes.into())?) {
        Ok(name) => name.to_owned(),
        Err(_) => return fail("a record's name is not valid UTF-8"),
    };
    let mut extra = Fields(fields.bytes(extra_bytes.into())?);
    fields.bytes(comment_bytes.into())?;
    let (mut stored_bytes, mut len_bytes, mut header_offset) = (u64::from(stored), u64::from(len), u64::from(header));
    while extra.0.len() >= 4 {
        let (kind, size) = (extra.u16()?, extra.u16()?);
        let mut part = Fields(extra.bytes(size.into())?);
        if kind == 1 {
            for (short, wide) in [(len, &mut len_bytes), (stored, &mut stored_bytes), (header, &mut header_offset)] {
                if short == u32::MAX {
                    *wide = part.u64()?;
                }
            }
        }
    }
    if flags & 0x41 != 0 {
        return fail(format!("record {name:?} is encrypted"));
    }
    let is_deflated = match method {
        0 => false,
        8 => true,
        other => return fail(format!("record {name:?} uses compression method {other}; only stored and deflated are supported")),
    };
    if !is_deflated && stored_bytes != len_bytes {
        return fail(format!("record {name:?} is stored with {stored_bytes} bytes, but has {len_bytes}"));
    }
    Ok((Record { name, stored_bytes, len_bytes, is_deflated, crc, offset: 0 }, header_offset))
}

/// Compares an entry's own header with the directory; returns where its data begins.
fn check_local(source: &Source, record: &Record, header_offset: u64, directory_offset: u64) -> Result<u64> {
    let name = &record.name;
    let out_of_place = || Error::Zip(format!("record {name:?} lies outside the data"));
    if header_offset.checked_add(30).is_none_or(|end| end > directory_offset) {
        return Err(out_of_place());
    }
    let mut header = [0; 30];
    source.read_at(header_offset, &mut header)?;
    let mut fields = Fields(&header);
    if fields.u32()? != LOCAL {
        return fail(format!("record {name:?} has no header"));
    }
    fields.bytes(2)?;
    let (_flags, method) = (fields.u16()?, fields.u16()?);
    if (method == 8) != record.is_deflated || (method != 8 && method != 0) {
        return fail(format!("record {name:?} has two different compression methods"));
    }
    fields.bytes(16)?;
    let (name_bytes, extra_bytes) = (fields.u16()?, fields.u16()?);
    // No overflow: the header lies before the directory, and both lengths are 16 bits.
    let name_offset = header_offset + 30;
    let data_offset = name_offset + u64::from(name_bytes) + u64::from(extra_bytes);
    if data_offset.checked_add(record.stored_bytes).is_none_or(|end| end > directory_offset) {
        return Err(out_of_place());
    }
    if usize::from(name_bytes) != name.len() || source.read_vec(name_offset, name_bytes.into())? != name.as_bytes() {
        return fail(format!("record {name:?} has another name in its header"));
    }
    Ok(data_offset)
}

/// Writes an archive from front to back, so any sink will do. Data is stored, aligned to 64 bytes and followed by a
/// descriptor (sizes come after the data), as PyTorch's own writer does; its `calculate_storage_offsets` relies on that.
pub struct ArchiveWriter<'a> {
    sink: &'a mut dyn Write,
    position: u64,
    directory: Vec<u8>,
    count: u64,
    /// Where 64-bit fields begin; lower in tests only.
    first_64: u64,
    has_checksums: bool,
}

/// What is summed and written, or read and summed, at a time: small enough to stay in a core's second-level cache.
const PIECE_BYTES: usize = 1 << 18;

/// What one thread reads at a time.
const PART_BYTES: usize = 1 << 22;

/// Runs `part(0)` to `part(count - 1)`, on whatever threads there are.
pub type Spread<'a> = &'a dyn Fn(usize, &(dyn Fn(usize) + Sync));

impl<'a> ArchiveWriter<'a> {
    pub fn new(sink: &'a mut dyn Write) -> ArchiveWriter<'a> {
        ArchiveWriter { sink, position: 0, directory: Vec::new(), count: 0, first_64: FIRST_64, has_checksums: true }
    }

    /// Whether records get their CRC-32; without, it is written as 0, which readers take for unknown.
    pub fn with_checksums(self, has_checksums: bool) -> ArchiveWriter<'a> {
        ArchiveWriter { has_checksums, ..self }
    }

    #[cfg(test)]
    pub(crate) fn with_first_64(sink: &'a mut dyn Write, first_64: u64) -> ArchiveWriter<'a> {
        ArchiveWriter { first_64, ..ArchiveWriter::new(sink) }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.sink.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Adds a record of a few bytes.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<u32> {
        self.add_with(name, bytes.len() as u64, |out| Ok(out.write_all(bytes)?))
    }

    /// Adds a record of `len_bytes` bytes, which `fill` writes; returns the CRC-32.
    ///
    /// # Errors
    /// If `fill` writes another number of bytes: the layout is already fixed by then, so the archive is spoilt.
    pub fn add_with(&mut self, name: &str, len_bytes: u64, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<u32> {
        let name_bytes = u16::try_from(name.len()).map_err(|_| Error::Value("a record's name is longer than 65535 bytes".into()))?;
        let header_offset = self.position;
        let (is_long, is_far) = (len_bytes >= self.first_64, header_offset >= self.first_64);
        let is_64 = is_long || is_far;
        let mut extra = Vec::new();
        if is_64 {
            extra.extend(1u16.to_le_bytes());
            extra.extend((if is_long { 16u16 } else { 0 } + if is_far { 8 } else { 0 }).to_le_bytes());
            if is_long {
                extra.extend(len_bytes.to_le_bytes());
                extra.extend(len_bytes.to_le_bytes());
            }
            if is_far {
                extra.extend(header_offset.to_le_bytes());
            }
        }
        let unpadded = header_offset + 30 + u64::from(name_bytes) + extra.len() as u64 + 4;
        let padding = (ALIGNMENT - unpadded % ALIGNMENT) % ALIGNMENT;
        extra.extend(*b"FB");
        extra.extend((padding as u16).to_le_bytes());
        extra.resize(extra.len() + padding as usize, b'Z');

        // Bit 11: the name is UTF-8. Bit 3: sizes follow the data.
        let flags: u16 = if len_bytes == 0 { 0x0800 } else { 0x0808 };
        let mut header = Vec::with_capacity(30 + name.len() + extra.len());
        header.extend(LOCAL.to_le_bytes());
        header.extend((if is_64 { 45u16 } else { 0 }).to_le_bytes());
        header.extend(flags.to_le_bytes());
        header.extend([0; 18]);
        if is_long {
            header[18..26].copy_from_slice(&[0xff; 8]);
        }
        header.extend(name_bytes.to_le_bytes());
        header.extend((extra.len() as u16).to_le_bytes());
        header.extend(name.as_bytes());
        header.extend(extra);
        self.put(&header)?;

        let hasher = self.has_checksums.then(crc32fast::Hasher::new);
        let mut data = Checked { sink: self.sink, hasher, count: 0, limit: len_bytes };
        fill(&mut data)?;
        let (crc, count) = (data.hasher.map_or(0, crc32fast::Hasher::finalize), data.count);
        if count != len_bytes {
            return Err(Error::Value(format!("record {name:?} was announced with {len_bytes} bytes, but {count} were written")));
        }
        self.position += len_bytes;
        if len_bytes > 0 {
            let mut descriptor = Vec::from(DESCRIPTOR.to_le_bytes());
            descriptor.extend(crc.to_le_bytes());
            for _ in 0..2 {
                if is_64 {
                    descriptor.extend(len_bytes.to_le_bytes());
                } else {
                    descriptor.extend((len_bytes as u32).to_le_bytes());
                }
            }
            self.put(&descriptor)?;
        }
        self.list(name, flags, crc, len_bytes, header_offset);
        Ok(crc)
    }

    fn list(&mut self, name: &str, flags: u16, crc: u32, len_bytes: u64, header_offset: u64) {
        let (is_long, is_far) = (len_bytes >= self.first_64, header_offset >= self.first_64);
        let mut wide = Vec::new();
        if is_long {
            wide.extend(len_bytes.to_le_bytes());
            wide.extend(len_bytes.to_le_bytes());
        }
        if is_far {
            wide.extend(header_offset.to_le_bytes());
        }
        let short = |value: u64, is_wide: bool| if is_wide { u32::MAX } else { value as u32 }.to_le_bytes();
        let entry = &mut self.directory;
        entry.extend(CENTRAL.to_le_bytes());
        entry.extend([0; 2]);
        entry.extend((if is_long || is_far { 45u16 } else { 0 }).to_le_bytes());
        entry.extend(flags.to_le_bytes());
        entry.extend([0; 6]);
        entry.extend(crc.to_le_bytes());
        entry.extend(short(len_bytes, is_long));
        entry.extend(short(len_bytes, is_long));
        entry.extend((name.len() as u16).to_le_bytes());
        entry.extend((if wide.is_empty() { 0 } else { 4 + wide.len() as u16 }).to_le_bytes());
        entry.extend([0; 10]);
        entry.extend(short(header_offset, is_far));
        entry.extend(name.as_bytes());
        if !wide.is_empty() {
            entry.extend(1u16.to_le_bytes());
            entry.extend((wide.len() as u16).to_le_bytes());
            entry.extend(wide);
        }
        self.count += 1;
    }

    /// Writes the directory; the archive is complete.
    pub fn finish(mut self) -> Result<()> {
        let (offset, directory) = (self.position, std::mem::take(&mut self.directory));
        self.put(&directory)?;
        let len = directory.len() as u64;
        let is_64 = offset >= self.first_64 || len >= self.first_64 || self.count >= 0xffff;
        let mut end = Vec::new();
        if is_64 {
            let end_offset = self.position;
            end.extend(END64.to_le_bytes());
            end.extend(44u64.to_le_bytes());
            end.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            end.extend(self.count.to_le_bytes());
            end.extend(self.count.to_le_bytes());
            end.extend(len.to_le_bytes());
            end.extend(offset.to_le_bytes());
            end.extend(LOCATOR64.to_le_bytes());
            end.extend(0u32.to_le_bytes());
            end.extend(end_offset.to_le_bytes());
            end.extend(1u32.to_le_bytes());
        }
        let count = if is_64 { 0xffff } else { self.count as u16 };
        end.extend(END.to_le_bytes());
        end.extend([0; 4]);
        end.extend(count.to_le_bytes());
        end.extend(count.to_le_bytes());
        end.extend((if is_64 { u32::MAX } else { len as u32 }).to_le_bytes());
        end.extend((if is_64 { u32::MAX } else { offset as u32 }).to_le_bytes());
        end.extend([0; 2]);
        self.put(&end)?;
        Ok(self.sink.flush()?)
    }
}

/// Counts and sums what passes; refuses more than announced before it reaches the sink.
struct Checked<'a> {
    sink: &'a mut dyn Write,
    hasher: Option<crc32fast::Hasher>,
    count: u64,
    limit: u64,
}

impl Write for Checked<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.count + bytes.len() as u64 > self.limit {
            return Err(std::io::Error::other(format!("more than the announced {} bytes of a record", self.limit)));
        }
        let count = self.sink.write(&bytes[..bytes.len().min(PIECE_BYTES)])?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&bytes[..count]);
        }
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.sink.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_past_the_32_bit_fields_are_read_back() {
        // As if the 32-bit fields ended at 300 bytes: some records are long, some far, some both.
        let mut file = Vec::new();
        let mut writer = ArchiveWriter::with_first_64(&mut file, 300);
        let contents: Vec<Vec<u8>> = [10, 400, 0, 299, 300, 1000].iter().map(|&len| vec![len as u8; len]).collect();
        for (index, bytes) in contents.iter().enumerate() {
            writer.add(&format!("a/{index}"), bytes).unwrap();
        }
        writer.finish().unwrap();
        let archive = Archive::open(Source::from(file), &Limits::default()).unwrap();
        for (index, bytes) in contents.iter().enumerate() {
            let record = archive.record(&format!("a/{index}")).unwrap();
            assert_eq!(&archive.read(record, true).unwrap(), bytes, "record {index}");
            assert_eq!(record.offset % ALIGNMENT, 0);
        }
    }
}
