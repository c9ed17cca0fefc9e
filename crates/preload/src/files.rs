//! The descriptors and shared mappings of a template: which there are, and what a child does about each.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::sys::{self, Statx};
use crate::text::Text;

/// The highest descriptor that is looked for.
const HIGHEST: c_int = 4096;
/// The most that are kept in mind, of descriptors and of mappings.
const MOST: usize = 256;

const S_IFMT: u16 = 0o170_000;
const S_IFCHR: u16 = 0o020_000;
const S_IFREG: u16 = 0o100_000;
const S_IFDIR: u16 = 0o040_000;

/// What the other side says of one file: it replaces it, or it may be shared.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    device: u64,
    inode: u64,
    /// 0 if a fresh descriptor takes its place; [`MAPPED`] or [`SHARED`].
    pub(crate) what: u64,
}

/// A fresh descriptor takes its place, and its mappings are made anew.
pub(crate) const MAPPED: u64 = 1;
/// It may be shared: nobody changes it any more, or it is for all of them.
pub(crate) const SHARED: u64 = 2;

impl Entry {
    pub(crate) const NONE: Self = Self {
        device: 0,
        inode: 0,
        what: SHARED,
    };

    fn is(&self, stat: &Statx) -> bool {
        self.device == u64::from(stat.dev_major) << 32 | u64::from(stat.dev_minor)
            && self.inode == stat.ino
    }
}

/// Descriptors that the program found open when it began. What of them the other side does not name, the program does not know.
static STRANGERS: [AtomicUsize; HIGHEST as usize / 32] =
    [const { AtomicUsize::new(0) }; HIGHEST as usize / 32];

/// Notes what is open, before the program has opened anything.
pub(crate) fn note_strangers() {
    for fd in 0..HIGHEST {
        // SAFETY: only asks.
        if unsafe { sys::fcntl(fd, sys::F_GETFD) } >= 0 {
            if let Some(word) = STRANGERS.get(fd as usize / 32) {
                word.fetch_or(1 << (fd % 32), Ordering::Relaxed);
            }
        }
    }
}

fn is_stranger(fd: c_int) -> bool {
    STRANGERS
        .get(fd as usize / 32)
        .is_some_and(|word| word.load(Ordering::Relaxed) & 1 << (fd % 32) != 0)
}

/// What a child does with a descriptor.
#[derive(Clone, Copy)]
enum Fate {
    /// Takes the fresh one of this entry.
    Entry(usize),
    /// Makes an eventfd, counting from there.
    Event(u32, c_int),
    /// Makes an epoll instance.
    Epoll,
}

#[derive(Clone, Copy)]
struct Found {
    fd: c_int,
    fate: Fate,
    is_closed_by_exec: bool,
    status: c_int,
}

#[derive(Clone, Copy)]
struct Mapped {
    start: usize,
    end: usize,
    offset: i64,
}

/// What was found when the template was asked for the first time. It does nothing from then on but fork.
pub(crate) struct Inventory {
    found: [Found; MOST],
    found_len: usize,
    mapped: [Mapped; MOST],
    mapped_len: usize,
}

struct Global(UnsafeCell<Inventory>);

// SAFETY: only the main thread uses it, see `inventory`.
unsafe impl Sync for Global {}

static INVENTORY: Global = Global(UnsafeCell::new(Inventory {
    found: [Found {
        fd: -1,
        fate: Fate::Epoll,
        is_closed_by_exec: false,
        status: 0,
    }; MOST],
    found_len: 0,
    mapped: [Mapped {
        start: 0,
        end: 0,
        offset: 0,
    }; MOST],
    mapped_len: 0,
}));

/// The inventory, lent to one call at a time.
pub(crate) fn with_inventory<R>(with: impl FnOnce(&mut Inventory) -> R) -> R {
    static BORROWED: AtomicUsize = AtomicUsize::new(0);
    if BORROWED.swap(1, Ordering::Acquire) != 0 {
        // Two at once would be an error of this library.
        // SAFETY: `abort` may be called at any time.
        unsafe { sys::abort() }
    }
    // SAFETY: the flag above keeps any other borrow away.
    let result = with(unsafe { &mut *INVENTORY.0.get() });
    BORROWED.store(0, Ordering::Release);
    result
}

impl Inventory {
    /// Looks at everything that is open and mapped, but for what is not the template's.
    pub(crate) fn take(
        &mut self,
        entries: &[Entry],
        is_ours: impl Fn(c_int) -> bool,
    ) -> Result<(), Text> {
        self.found_len = 0;
        self.mapped_len = 0;
        for fd in 0..HIGHEST {
            if is_ours(fd) {
                continue;
            }
            if let Some(stat) = sys::stat(fd) {
                self.look_at(fd, &stat, entries)?;
            }
        }
        self.take_mappings(entries)
    }

    fn look_at(&mut self, fd: c_int, stat: &Statx, entries: &[Entry]) -> Result<(), Text> {
        // SAFETY: these two only ask.
        let (flags, status) =
            unsafe { (sys::fcntl(fd, sys::F_GETFD), sys::fcntl(fd, sys::F_GETFL)) };
        let fate = if let Some(index) = entries.iter().position(|entry| entry.is(stat)) {
            if entries.get(index).is_some_and(|entry| entry.what == SHARED) {
                return Ok(());
            }
            Fate::Entry(index)
        } else if is_stranger(fd) {
            return Ok(());
        } else {
            match self.fate_of_other(fd, stat, status)? {
                Some(fate) => fate,
                None => return Ok(()),
            }
        };
        let found = Found {
            fd,
            fate,
            is_closed_by_exec: flags & sys::FD_CLOEXEC != 0,
            status,
        };
        let Some(place) = self.found.get_mut(self.found_len) else {
            return Err(Text::of(format_args!("it has too many descriptors")));
        };
        *place = found;
        self.found_len += 1;
        Ok(())
    }

    /// Of a file that the other side has not named; `None` if it can be shared as it is.
    fn fate_of_other(&self, fd: c_int, stat: &Statx, status: c_int) -> Result<Option<Fate>, Text> {
        // Memory devices: null, zero, random numbers.
        const MEMORY: u32 = 1;
        let is_read = status & sys::O_ACCMODE == sys::O_RDONLY;
        match stat.mode & S_IFMT {
            S_IFCHR if stat.rdev_major == MEMORY => return Ok(None),
            S_IFREG | S_IFDIR if is_read => return Ok(None),
            _ => {}
        }
        let mut path = Text::of(format_args!("/proc/self/fd/{fd}"));
        let mut link = [0_u8; 128];
        let len = path.with_c_str(|path| {
            // SAFETY: the buffer and its length are an array's.
            unsafe { sys::readlink(path.as_ptr(), link.as_mut_ptr().cast::<c_char>(), 127) }
        });
        let len = len.and_then(|len| usize::try_from(len).ok()).unwrap_or(0);
        let link = link.get(..len).unwrap_or_default();
        match link {
            b"anon_inode:[signalfd]" => Ok(None),
            b"anon_inode:[eventfd]" => {
                let mut count = 0;
                let mut flags = status & sys::O_NONBLOCK;
                fd_info(fd, |line| {
                    if let Some(value) = value_of(line, b"eventfd-count:") {
                        count = hexadecimal(value);
                    } else if let Some(value) = value_of(line, b"eventfd-semaphore:") {
                        flags |= (hexadecimal(value) as c_int) * sys::EFD_SEMAPHORE;
                    }
                });
                Ok(Some(Fate::Event(count as u32, flags)))
            }
            b"anon_inode:[eventpoll]" => {
                let mut is_used = false;
                fd_info(fd, |line| is_used |= line.starts_with(b"tfd:"));
                if is_used {
                    return Err(Text::of(format_args!(
                        "it has an epoll instance in use (descriptor {fd})"
                    )));
                }
                Ok(Some(Fate::Epoll))
            }
            _ => Err(Text::of(format_args!(
                "it has a descriptor that forked machines would share ({fd}: {})",
                core::str::from_utf8(link).unwrap_or("?")
            ))),
        }
    }

    /// Looks for mappings that a child would share with the template: the guest's memory, whose place is noted, and none else.
    fn take_mappings(&mut self, entries: &[Entry]) -> Result<(), Text> {
        let memory = entries.iter().find(|entry| entry.what == MAPPED);
        let mut problem = None;
        lines(c"/proc/self/maps", |line| {
            let Some(mapping) = Line::parse(line) else {
                return;
            };
            if !mapping.is_shared || !mapping.is_writable {
                return;
            }
            let is = |entry: &Entry| entry.device == mapping.device && entry.inode == mapping.inode;
            if entries
                .iter()
                .any(|entry| entry.what == SHARED && is(entry))
            {
                return;
            }
            if !memory.is_some_and(is) {
                problem.get_or_insert(Text::of(format_args!(
                    "it has memory that forked machines would share ({})",
                    core::str::from_utf8(mapping.name).unwrap_or("?")
                )));
            } else if let Some(place) = self.mapped.get_mut(self.mapped_len) {
                *place = mapping.place;
                self.mapped_len += 1;
            } else {
                problem = Some(Text::of(format_args!("its memory is in too many pieces")));
            }
        });
        problem.map_or(Ok(()), Err)
    }

    /// The descriptor of the first entry, which is the qtest socket.
    pub(crate) fn first(&self) -> Option<c_int> {
        let mut found = self.found.iter().take(self.found_len);
        found
            .find(|found| matches!(found.fate, Fate::Entry(0)))
            .map(|found| found.fd)
    }

    /// In a child: gives every descriptor and mapping what is its own. `fresh` are the new descriptors, one for each entry that is
    /// replaced, in order; they are closed.
    pub(crate) fn renew(&self, entries: &[Entry], fresh: &[c_int]) -> Result<(), Text> {
        let failed = |what: &str, fd: c_int| {
            let error = sys::errno();
            Text::of(format_args!(
                "failed to {what} descriptor {fd} (error {error})"
            ))
        };
        let fresh_of = |index: usize| {
            let before = entries.iter().take(index);
            let place = before.filter(|entry| entry.what != SHARED).count();
            fresh.get(place).copied()
        };
        for found in self.found.iter().take(self.found_len) {
            let (new, is_own) = match found.fate {
                Fate::Entry(index) => (fresh_of(index).unwrap_or(-1), false),
                // SAFETY: makes a descriptor.
                Fate::Event(count, flags) => (unsafe { sys::eventfd(count, flags) }, true),
                // SAFETY: makes a descriptor.
                Fate::Epoll => (unsafe { sys::epoll_create1(0) }, true),
            };
            let flags = if found.is_closed_by_exec {
                sys::O_CLOEXEC
            } else {
                0
            };
            // SAFETY: the number is one that the template has, and only the template's file goes.
            if new < 0 || unsafe { sys::dup3(new, found.fd, flags) } < 0 {
                return Err(failed("replace", found.fd));
            }
            if is_own {
                // SAFETY: made above and duplicated since.
                unsafe { sys::close(new) };
            }
            // SAFETY: sets flags of the file that was just put there.
            if unsafe { sys::fcntl(found.fd, sys::F_SETFL, found.status) } < 0 {
                return Err(failed("set the flags of", found.fd));
            }
        }
        let memory = entries.iter().position(|entry| entry.what == MAPPED);
        if let Some(memory) = memory.and_then(fresh_of) {
            for place in self.mapped.iter().take(self.mapped_len) {
                let len = place.end - place.start;
                // SAFETY: replaces a mapping of the guest's memory by one of a file of the same size with the same content; no other
                // thread is there, and the address is a whole mapping's.
                let mapped = unsafe {
                    sys::mmap(
                        place.start as *mut c_void,
                        len,
                        sys::PROT_READ_WRITE,
                        sys::MAP_SHARED_FIXED_NORESERVE,
                        memory,
                        place.offset,
                    )
                };
                if mapped as usize != place.start {
                    return Err(failed("map", memory));
                }
            }
        }
        for &fd in fresh {
            // SAFETY: they came with the request, and are where they belong by now.
            unsafe { sys::close(fd) };
        }
        Ok(())
    }
}

/// One line of `/proc/self/maps`.
struct Line<'a> {
    place: Mapped,
    is_shared: bool,
    is_writable: bool,
    device: u64,
    inode: u64,
    name: &'a [u8],
}

impl<'a> Line<'a> {
    /// `start-end perms offset major:minor inode name`, all but the inode hexadecimal.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut words = line.splitn(6, |byte| *byte == b' ');
        let mut range = words.next()?.splitn(2, |byte| *byte == b'-');
        let start = hexadecimal(range.next()?) as usize;
        let end = hexadecimal(range.next()?) as usize;
        let permissions = words.next()?;
        let offset = hexadecimal(words.next()?);
        let mut device = words.next()?.splitn(2, |byte| *byte == b':');
        let major = hexadecimal(device.next()?);
        let minor = hexadecimal(device.next()?);
        let inode = decimal(words.next()?);
        Some(Self {
            place: Mapped {
                start,
                end,
                offset: i64::try_from(offset).ok()?,
            },
            is_shared: permissions.get(3) == Some(&b's'),
            is_writable: permissions.get(1) == Some(&b'w'),
            device: major << 32 | minor,
            inode,
            name: words.next().unwrap_or_default().trim_ascii(),
        })
    }
}

fn hexadecimal(text: &[u8]) -> u64 {
    let digits = text.trim_ascii().iter();
    digits.fold(0, |value, digit| {
        let digit = char::from(*digit).to_digit(16).unwrap_or(0);
        value << 4 | u64::from(digit)
    })
}

fn decimal(text: &[u8]) -> u64 {
    let digits = text.trim_ascii().iter();
    digits.fold(0, |value, digit| {
        let digit = char::from(*digit).to_digit(10).unwrap_or(0);
        value * 10 + u64::from(digit)
    })
}

fn value_of<'a>(line: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    line.strip_prefix(key)
}

fn fd_info(fd: c_int, each: impl FnMut(&[u8])) {
    let mut path = Text::of(format_args!("/proc/self/fdinfo/{fd}"));
    path.with_c_str(|path| lines(path, each));
}

/// Reads a file line by line; what is longer than a page is cut.
fn lines(path: &CStr, mut each: impl FnMut(&[u8])) {
    // SAFETY: opens a file to read it.
    let fd = unsafe { sys::open(path.as_ptr(), sys::O_RDONLY | sys::O_CLOEXEC) };
    if fd < 0 {
        return;
    }
    let mut buffer = [0_u8; 4096];
    let mut filled = 0;
    loop {
        let room = buffer.get_mut(filled..).unwrap_or_default();
        // SAFETY: the pointer and the length are a slice's.
        let count = unsafe { sys::read(fd, room.as_mut_ptr().cast(), room.len()) };
        let Some(count) = usize::try_from(count).ok().filter(|count| *count > 0) else {
            break;
        };
        filled += count;
        let mut begin = 0;
        while let Some(rest) = buffer.get(begin..filled) {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                break;
            };
            each(rest.get(..end).unwrap_or_default());
            begin += end + 1;
        }
        if begin == 0 && filled == buffer.len() {
            begin = filled;
        }
        buffer.copy_within(begin..filled, 0);
        filled -= begin;
    }
    // SAFETY: opened above.
    unsafe { sys::close(fd) };
}
