//! [`Program`]: functions and blocks of an ELF file.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::ops::Range;
use std::path::Path;

use gimli::{BaseAddresses, CieOrFde, EhFrame, NativeEndian, UnwindSection};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};
use object::elf::{FileHeader64, R_X86_64_RELATIVE};
use object::read::elf::ElfFile;
use object::{
    Architecture, Object, ObjectSection, ObjectSymbol, ObjectSymbolTable, RelocationFlags,
    RelocationTarget, SectionKind,
};

use crate::ProgramError;

/// Where a basic block begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Address of its first instruction, relative to where the program is loaded.
    pub address: u64,
    /// The first byte of that instruction.
    pub byte: u8,
}

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its addresses, relative to where the program is loaded.
    pub range: Range<u64>,
    /// Its name, where the program exports it.
    pub name: Option<String>,
    /// Indices of its blocks in [`Program::blocks`].
    pub blocks: Range<usize>,
    /// Addresses that its instructions call, jump to or take.
    pub(crate) references: Vec<u64>,
}

type Elf<'data> = ElfFile<'data, FileHeader64<object::Endianness>>;

/// What is known of a program file.
#[derive(Debug)]
pub struct Program {
    pub(crate) functions: Vec<Function>,
    blocks: Vec<Block>,
    build_id: Option<Vec<u8>>,
    /// Places of pointers in its data, and where they point.
    pub(crate) pointers: Vec<(u64, u64)>,
    /// Where instructions or pointers lead, and exported data: things in memory begin there.
    pub(crate) landmarks: Vec<u64>,
    /// Exported symbols that are no functions.
    pub(crate) exported_data: HashSet<u64>,
    /// Where the code of ordinary functions begins: what lies before runs at start or was split off because it is unlikely.
    pub(crate) ordinary: u64,
    /// Read-only data, with its address.
    pub(crate) constants: Vec<(u64, Vec<u8>)>,
}

impl Program {
    /// Reads an ELF file. Takes about half a second for a QEMU.
    ///
    /// # Errors
    /// If the file can't be read, is no x86_64 ELF program, or lacks `.eh_frame`.
    pub fn read(path: &Path) -> Result<Self, ProgramError> {
        let data = fs::read(path).map_err(|source| ProgramError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&data).map_err(|why| ProgramError::Unsuitable {
            path: path.to_owned(),
            why,
        })
    }

    fn parse(data: &[u8]) -> Result<Self, String> {
        let file =
            Elf::parse(data).map_err(|error| format!("it is no 64-bit ELF file ({error})"))?;
        if file.architecture() != Architecture::X86_64 {
            return Err(format!(
                "it is for {:?}, and only x86_64 is decoded",
                file.architecture()
            ));
        }
        let mut code = Vec::new();
        let mut constants = Vec::new();
        for section in file.sections() {
            let Ok(bytes) = section.data() else { continue };
            match section.kind() {
                SectionKind::Text => code.push((section.address(), bytes)),
                SectionKind::ReadOnlyData | SectionKind::ReadOnlyString => {
                    constants.push((section.address(), bytes.to_vec()));
                }
                _ => {}
            }
        }
        let names: HashMap<u64, &str> = file
            .dynamic_symbols()
            .filter(ObjectSymbol::is_definition)
            .filter_map(|symbol| Some((symbol.address(), symbol.name().ok()?)))
            .collect();
        let mut ranges = function_ranges(&file)?;
        ranges.retain(|range| bytes_of(&code, range).is_some());
        ranges.sort_by_key(|range| range.start);
        ranges.dedup_by_key(|range| range.start);
        if ranges.is_empty() {
            return Err("its .eh_frame tells of no function".to_owned());
        }
        let mut functions = Vec::with_capacity(ranges.len());
        let mut blocks = Vec::new();
        for range in ranges {
            let Some(bytes) = bytes_of(&code, &range) else {
                continue;
            };
            let first = blocks.len();
            let references = decode(bytes, range.start, &mut blocks);
            functions.push(Function {
                name: names.get(&range.start).map(|name| (*name).to_owned()),
                blocks: first..blocks.len(),
                range,
                references,
            });
        }
        let is_function = |address: &u64| {
            functions
                .binary_search_by_key(address, |function| function.range.start)
                .is_ok()
        };
        let exported_data: HashSet<u64> = names
            .keys()
            .copied()
            .filter(|address| !is_function(address))
            .collect();
        let pointers = pointers(&file);
        let mut landmarks: Vec<u64> = functions
            .iter()
            .flat_map(|function| function.references.iter().copied())
            .chain(pointers.iter().map(|(_, target)| *target))
            .chain(exported_data.iter().copied())
            .collect();
        landmarks.sort_unstable();
        landmarks.dedup();
        Ok(Self {
            ordinary: last_constructor(&file, &pointers),
            landmarks,
            exported_data,
            functions,
            blocks,
            build_id: file.build_id().ok().flatten().map(<[u8]>::to_vec),
            pointers,
            constants,
        })
    }

    /// All blocks, in the order of their addresses.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// All functions, in the order of their addresses.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// What the linker calls this build (`NT_GNU_BUILD_ID`), if it calls it anything.
    pub fn build_id(&self) -> Option<&[u8]> {
        self.build_id.as_deref()
    }

    /// The function that an address lies in.
    pub fn function_at(&self, address: u64) -> Option<&Function> {
        let after = self
            .functions
            .partition_point(|function| function.range.start <= address);
        let function = self.functions.get(after.checked_sub(1)?)?;
        function.range.contains(&address).then_some(function)
    }

    /// The index of the function that begins at an address.
    pub(crate) fn beginning_at(&self, address: u64) -> Option<usize> {
        self.functions
            .binary_search_by_key(&address, |function| function.range.start)
            .ok()
    }
}

/// What `.eh_frame` says of functions.
fn function_ranges(file: &Elf<'_>) -> Result<Vec<Range<u64>>, String> {
    let section = file
        .section_by_name(".eh_frame")
        .ok_or("it has no .eh_frame section")?;
    let bytes = section
        .data()
        .map_err(|error| format!("its .eh_frame can't be read ({error})"))?;
    let mut bases = BaseAddresses::default().set_eh_frame(section.address());
    if let Some(text) = file.section_by_name(".text") {
        bases = bases.set_text(text.address());
    }
    let frames = EhFrame::new(bytes, NativeEndian);
    let mut entries = frames.entries(&bases);
    let mut ranges = Vec::new();
    loop {
        let bad = |error| format!("its .eh_frame makes no sense ({error})");
        match entries.next().map_err(bad)? {
            None => return Ok(ranges),
            Some(CieOrFde::Cie(_)) => {}
            Some(CieOrFde::Fde(partial)) => {
                let entry = partial.parse(EhFrame::cie_from_offset).map_err(bad)?;
                let start = entry.initial_address();
                if entry.len() > 0 {
                    ranges.push(start..start + entry.len());
                }
            }
        }
    }
}

/// Places of pointers in the program's data, and where they point, ascending.
fn pointers(file: &Elf<'_>) -> Vec<(u64, u64)> {
    let mut pointers: Vec<(u64, u64)> = file
        .dynamic_relocations()
        .into_iter()
        .flatten()
        .filter_map(|(place, relocation)| {
            let RelocationFlags::Elf { r_type } = relocation.flags() else {
                return None;
            };
            match relocation.target() {
                RelocationTarget::Absolute if r_type == R_X86_64_RELATIVE => {
                    Some((place, relocation.addend() as u64))
                }
                RelocationTarget::Symbol(index) => {
                    let symbol = file.dynamic_symbol_table()?.symbol_by_index(index).ok()?;
                    let target = symbol.address().wrapping_add_signed(relocation.addend());
                    symbol.is_definition().then_some((place, target))
                }
                _ => None,
            }
        })
        .collect();
    pointers.sort_unstable();
    pointers
}

/// The last function that runs before `main`. Those are at the end of what does not run later (the order of GNU ld's default script).
fn last_constructor(file: &Elf<'_>, pointers: &[(u64, u64)]) -> u64 {
    let Some(table) = file.section_by_name(".init_array") else {
        return 0;
    };
    let table = table.address()..table.address() + table.size();
    let constructors = pointers.iter().filter(|(place, _)| table.contains(place));
    constructors.map(|(_, target)| *target).max().unwrap_or(0)
}

/// The bytes of a range of addresses, if one section has them all.
fn bytes_of<'data>(sections: &[(u64, &'data [u8])], range: &Range<u64>) -> Option<&'data [u8]> {
    sections.iter().find_map(|(address, bytes)| {
        let from = usize::try_from(range.start.checked_sub(*address)?).ok()?;
        let to = usize::try_from(range.end.checked_sub(*address)?).ok()?;
        bytes.get(from..to)
    })
}

/// Decodes a function: appends its blocks, and returns what it refers to. A function with an instruction that is not known has no
/// blocks: where one is misread, the others may be.
fn decode(bytes: &[u8], start: u64, blocks: &mut Vec<Block>) -> Vec<u64> {
    let end = start + bytes.len() as u64;
    let mut decoder = Decoder::with_ip(64, bytes, start, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    // Where instructions begin, and which of them begin no block: padding, and those that are illegal by intention.
    let mut begins: Vec<(u64, bool)> = Vec::new();
    let mut leaders = vec![start];
    let mut references = Vec::new();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if instruction.is_invalid() {
            return references;
        }
        let is_none = matches!(
            instruction.mnemonic(),
            Mnemonic::Nop | Mnemonic::Int3 | Mnemonic::Ud0 | Mnemonic::Ud1 | Mnemonic::Ud2
        );
        begins.push((instruction.ip(), is_none));
        let target = match instruction.op0_kind() {
            OpKind::NearBranch64 => Some(instruction.near_branch64()),
            _ => None,
        };
        match instruction.flow_control() {
            FlowControl::Next | FlowControl::Call | FlowControl::IndirectCall => {
                references.extend(target);
            }
            _ => {
                leaders.push(instruction.next_ip());
                match target {
                    Some(target) if (start..end).contains(&target) => leaders.push(target),
                    _ => references.extend(target),
                }
            }
        }
        // A load may be of two pointers at once, which a compiler keeps side by side in its data.
        if instruction.memory_base() == Register::RIP {
            references.push(instruction.ip_rel_memory_address());
        }
    }
    leaders.sort_unstable();
    leaders.dedup();
    references.sort_unstable();
    references.dedup();
    for leader in leaders {
        // A branch into the middle of an instruction (a `lock` that is skipped) is none of a block that can be watched.
        let Ok(found) = begins.binary_search_by_key(&leader, |(begin, _)| *begin) else {
            continue;
        };
        if begins[found].1 {
            continue;
        }
        blocks.push(Block {
            address: leader,
            byte: bytes[(leader - start) as usize],
        });
    }
    references
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(bytes: &[u8]) -> (Vec<u64>, Vec<u64>) {
        let mut blocks = Vec::new();
        let references = decode(bytes, 0x1000, &mut blocks);
        (
            blocks.iter().map(|block| block.address).collect(),
            references,
        )
    }

    #[test]
    fn a_block_begins_at_the_function_after_a_branch_and_where_it_leads() {
        #[rustfmt::skip]
        let code = [
            0x85, 0xff,                         // 1000  test edi, edi
            0x74, 0x03,                         // 1002  je 1007
            0x31, 0xc0,                         // 1004  xor eax, eax
            0xc3,                               // 1006  ret
            0xe8, 0xf4, 0x0f, 0x00, 0x00,       // 1007  call 2000
            0x90,                               // 100c  nop
            0xeb, 0xf5,                         // 100d  jmp 1004
        ];
        let (blocks, references) = addresses(&code);
        assert_eq!(blocks, [0x1000, 0x1004, 0x1007]);
        assert_eq!(references, [0x2000]);
    }

    #[test]
    fn what_is_taken_or_jumped_to_elsewhere_is_referred_to() {
        #[rustfmt::skip]
        let code = [
            0x48, 0x8d, 0x05, 0xf9, 0x1f, 0x00, 0x00, // 1000  lea rax, [rip+1ff9] = 3000
            0xe9, 0xf4, 0x2f, 0x00, 0x00,             // 1007  jmp 4000
            0x66, 0x90,                               // 100c  padding
        ];
        let (blocks, references) = addresses(&code);
        assert_eq!(blocks, [0x1000]);
        assert_eq!(references, [0x3000, 0x4000]);
    }

    #[test]
    fn a_branch_into_an_instruction_and_a_function_that_is_misread_give_no_block() {
        // je 1003, the second byte of `mov eax, 1`.
        let (blocks, _) = addresses(&[0x74, 0x01, 0xb8, 1, 0, 0, 0, 0xc3]);
        assert_eq!(blocks, [0x1000, 0x1002]);
        // `06` is no instruction.
        assert_eq!(addresses(&[0x74, 0x00, 0x06, 0xc3]).0, []);
    }

    #[test]
    fn a_file_that_is_no_program_is_told() {
        let told = |data: &[u8]| Program::parse(data).expect_err("no program");
        assert!(told(b"text").contains("no 64-bit ELF file"));
    }

    /// This test's own program is one of the kind.
    #[test]
    fn the_functions_and_blocks_of_a_program() {
        let program = Program::read(&std::env::current_exe().expect("a path")).expect("a program");
        assert!(program.functions().len() > 1000);
        assert!(program.blocks().len() > program.functions().len());
        assert!(program.blocks().is_sorted_by_key(|block| block.address));
        for function in program.functions() {
            for block in &program.blocks()[function.blocks.clone()] {
                assert!(function.range.contains(&block.address));
            }
            assert_eq!(program.function_at(function.range.start), Some(function));
        }
        assert_eq!(program.function_at(0), None);
    }
}
