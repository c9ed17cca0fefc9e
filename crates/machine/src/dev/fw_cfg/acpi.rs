//! ACPI tables for the firmware (ACPI 6.5 chapter 5): made when it first selects one of their files, of the chipset as it is then.
//!
//! Three files: the tables with offsets in place of addresses, the root pointer, and the script by which the firmware puts them into
//! memory (QEMU's "BIOS linker/loader": commands of 128 bytes).

pub(super) const TABLES: &str = "etc/acpi/tables";
pub(super) const RSDP: &str = "etc/acpi/rsdp";
pub(super) const LOADER: &str = "etc/table-loader";

/// The three files.
pub(super) struct Files {
    pub(super) tables: Vec<u8>,
    pub(super) rsdp: Vec<u8>,
    pub(super) loader: Vec<u8>,
}

/// Bytes of a table's header (§5.2.6).
const HEADER: usize = 36;

/// Commands of the script.
const ALLOCATE: u32 = 1;
const ADD_POINTER: u32 = 2;
const ADD_CHECKSUM: u32 = 3;

#[derive(Default)]
struct Builder {
    tables: Vec<u8>,
    loader: Vec<u8>,
}

impl Builder {
    /// Appends a table; its offset.
    fn table(&mut self, signature: [u8; 4], revision: u8, body: &[u8]) -> usize {
        let start = self.tables.len();
        let length = (HEADER + body.len()) as u32;
        self.tables.extend(signature);
        self.tables.extend(length.to_le_bytes());
        self.tables.extend([revision, 0]);
        self.tables.extend(b"TESTJGEMBEDDED");
        self.tables.extend(1_u32.to_le_bytes());
        self.tables.extend(b"TJIG");
        self.tables.extend(1_u32.to_le_bytes());
        self.tables.extend(body);
        start
    }

    /// "Let `file` be at a multiple of `align`, in high memory (1) or in the segment F (2)."
    fn allocate(&mut self, file: &str, align: u32, zone: u8) {
        let mut fields = name(file);
        fields.extend(align.to_le_bytes());
        fields.push(zone);
        self.command(ALLOCATE, fields);
    }

    /// "Add the address of `of` to the number of so many bytes at an offset of `file`."
    fn pointer(&mut self, file: &str, offset: usize, of: &str, bytes: u8) {
        let mut fields = name(file);
        fields.extend(name(of));
        fields.extend((offset as u32).to_le_bytes());
        fields.push(bytes);
        self.command(ADD_POINTER, fields);
    }

    /// "Let a stretch of `file` sum up to zero by the byte at an offset."
    fn checksum(&mut self, file: &str, at: usize, start: usize, length: usize) {
        let mut fields = name(file);
        for number in [at, start, length] {
            fields.extend((number as u32).to_le_bytes());
        }
        self.command(ADD_CHECKSUM, fields);
    }

    fn command(&mut self, command: u32, mut fields: Vec<u8>) {
        fields.resize(124, 0);
        self.loader.extend(command.to_le_bytes());
        self.loader.extend(fields);
    }
}

/// A file's name, 56 bytes.
fn name(file: &str) -> Vec<u8> {
    let mut bytes = file.as_bytes().to_vec();
    bytes.resize(56, 0);
    bytes
}

/// The files of a machine with so many processors, its power management registers at an I/O port.
pub(super) fn files(base: u16, cpus: u32) -> Files {
    let mut builder = Builder::default();
    builder.allocate(RSDP, 16, 2);
    builder.allocate(TABLES, 64, 1);

    // §5.2.10 FACS: no header of the common kind.
    let facs = builder.tables.len();
    let mut body = b"FACS".to_vec();
    body.extend(64_u32.to_le_bytes());
    body.resize(64, 0);
    builder.tables.extend(body);
    // §5.2.11.1 DSDT: an empty definition block.
    let dsdt = builder.table(*b"DSDT", 1, &[]);
    let fadt = builder.table(*b"FACP", 1, &fadt(base, facs, dsdt));
    let apics = builder.table(*b"APIC", 1, &madt(cpus));
    // §5.2.7 RSDT: offsets of the others.
    let entries: Vec<u8> = [fadt, apics]
        .iter()
        .flat_map(|offset| (*offset as u32).to_le_bytes())
        .collect();
    let root = builder.table(*b"RSDT", 1, &entries);

    builder.pointer(TABLES, fadt + 36, TABLES, 4);
    builder.pointer(TABLES, fadt + 40, TABLES, 4);
    for entry in 0..2 {
        builder.pointer(TABLES, root + HEADER + 4 * entry, TABLES, 4);
    }
    for table in [dsdt, fadt, apics, root] {
        let length = [4, 5, 6, 7].map(|at| builder.tables[table + at]);
        let length = u32::from_le_bytes(length) as usize;
        builder.checksum(TABLES, table + 9, table, length);
    }
    // §5.2.5.3 RSDP of revision 0.
    let mut rsdp = b"RSD PTR \0TESTJG\0".to_vec();
    rsdp.extend((root as u32).to_le_bytes());
    builder.pointer(RSDP, 16, TABLES, 4);
    builder.checksum(RSDP, 8, 0, rsdp.len());
    Files {
        tables: builder.tables,
        rsdp,
        loader: builder.loader,
    }
}

/// §5.2.9 FADT of revision 1, without its header.
fn fadt(base: u16, facs: usize, dsdt: usize) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend((facs as u32).to_le_bytes());
    body.extend((dsdt as u32).to_le_bytes());
    // SCI on line 9; SMI command port 0xb2.
    body.extend([1, 0, 9, 0]);
    body.extend(0xb2_u32.to_le_bytes());
    body.extend([0xf1, 0xf0, 0, 0]);
    let block = |offset: u16| u32::from(base + offset).to_le_bytes();
    body.extend(block(0));
    body.extend([0; 4]);
    body.extend(block(4));
    body.extend([0; 8]);
    body.extend(block(8));
    body.extend([0; 8]);
    // Lengths of the event, control and timer blocks.
    body.extend([4, 2, 0, 4, 0, 0, 0, 0]);
    body.extend(0xfff_u16.to_le_bytes());
    body.extend(0xfff_u16.to_le_bytes());
    body.extend([0; 8]);
    body.push(0x32);
    body.extend([0; 3]);
    // Fixed features: WBINVD works, the timer has 24 bits.
    body.extend(1_u32.to_le_bytes());
    body
}

/// §5.2.12 MADT: local APICs, the I/O APIC, and interrupt 0 at its pin 2.
fn madt(cpus: u32) -> Vec<u8> {
    let mut body = 0xfee0_0000_u32.to_le_bytes().to_vec();
    body.extend(1_u32.to_le_bytes());
    for id in 0..cpus.min(255) as u8 {
        body.extend([0, 8, id, id, 1, 0, 0, 0]);
    }
    body.extend([1, 12, 0, 0]);
    body.extend(0xfec0_0000_u32.to_le_bytes());
    body.extend(0_u32.to_le_bytes());
    body.extend([2, 10, 0, 0]);
    body.extend(2_u32.to_le_bytes());
    body.extend([0, 0]);
    body
}
