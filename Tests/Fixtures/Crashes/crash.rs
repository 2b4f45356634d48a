// Middleware in Rust that panics. The table is laid out as `bh_plugin` of plugin.h.
use std::ffi::c_void;
use std::os::raw::c_char;

#[repr(C)]
pub struct Table {
    size: u32,
    abi_major: u32,
    abi_minor: u32,
    capabilities: u32,
    name: *const c_char,
    version: *const c_char,
    summary: *const c_char,
    settings: *const c_void,
    setting_count: usize,
    reserved: *const c_void,
    start: extern "C" fn(*const Table, *const c_void, *mut *mut c_void) -> u32,
    stop: *const c_void,
    request: extern "C" fn(*mut c_void, *mut c_void, *const c_void) -> u32,
    response: *const c_void,
    handle: *const c_void,
    extension: *const c_void,
}
unsafe impl Sync for Table {}

extern "C" fn start(_: *const Table, _: *const c_void, instance: *mut *mut c_void) -> u32 {
    unsafe { *instance = 8 as *mut c_void };
    0
}

#[inline(never)]
fn open_valve(number: usize) -> usize {
    let valves = [1, 2, 3];
    valves[number + 4] // line: panic
}

extern "C" fn request(_: *mut c_void, _: *mut c_void, _: *const c_void) -> u32 {
    std::hint::black_box(open_valve(std::hint::black_box(3)));
    0
}

static TABLE: Table = Table {
    size: std::mem::size_of::<Table>() as u32,
    abi_major: 1,
    abi_minor: 0,
    capabilities: 1,
    name: b"crash\0".as_ptr() as *const c_char,
    version: b"1.0.0\0".as_ptr() as *const c_char,
    summary: b"Panics\0".as_ptr() as *const c_char,
    settings: std::ptr::null(),
    setting_count: 0,
    reserved: std::ptr::null(),
    start,
    stop: std::ptr::null(),
    request,
    response: std::ptr::null(),
    handle: std::ptr::null(),
    extension: std::ptr::null(),
};

#[no_mangle]
pub extern "C" fn bulkhead_plugin() -> *const Table {
    &TABLE
}
