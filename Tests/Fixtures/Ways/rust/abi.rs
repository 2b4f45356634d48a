//! The part of the plugin ABI that this plugin uses, as `bulkhead/plugin.h` has it.
#![allow(dead_code)]

use std::ffi::{c_char, c_void};

pub const OK: u32 = 0;
pub const FAULT: u32 = 2;
pub const HANDLES_REQUEST: u32 = 1;
pub const HANDLES_RESPONSE: u32 = 2;
pub const ROUTES: u32 = 4;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Bytes {
    pub data: *const u8,
    pub count: usize,
}

impl Bytes {
    pub fn of(text: &str) -> Bytes {
        Bytes { data: text.as_ptr(), count: text.len() }
    }

    pub fn text(&self) -> &str {
        if self.count == 0 {
            return "";
        }
        let bytes = unsafe { std::slice::from_raw_parts(self.data, self.count) };
        std::str::from_utf8(bytes).unwrap_or("")
    }
}

#[repr(C)]
pub struct Field {
    pub name: Bytes,
    pub value: Bytes,
}

#[repr(C)]
pub struct SettingSchema {
    pub size: u32,
    pub kind: u32,
    pub flags: u32,
    pub name: *const c_char,
    pub default_value: *const c_char,
    pub help: *const c_char,
    pub choices: *const c_char,
}

#[repr(C)]
pub struct Setting {
    pub size: u32,
    pub kind: u32,
    pub name: *const c_char,
    pub text: Bytes,
    pub integer: i64,
    pub number: f64,
}

/// Up to the fields of the head; what follows is not read here.
#[repr(C)]
pub struct Request {
    pub size: u32,
    pub method: u32,
    pub method_name: Bytes,
    pub path: Bytes,
    pub query: Bytes,
    pub authority: Bytes,
    pub body: Bytes,
    pub fields: *const Field,
    pub field_count: usize,
}

#[repr(C)]
pub struct Route {
    pub size: u32,
    pub method: *const c_char,
    pub pattern: *const c_char,
    pub access: u32,
    pub role: *const c_char,
    pub execution: u32,
    pub handler: u32,
}

/// Up to `set_body`; what follows is not called here.
#[repr(C)]
pub struct Host {
    pub size: u32,
    pub abi_minor: u32,
    pub version: *const c_char,
    pub extension: unsafe extern "C-unwind" fn(*mut c_void, *const c_char) -> *const c_void,
    pub add_route: unsafe extern "C-unwind" fn(*mut c_void, *const Route) -> u32,
    pub set_error: unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, Bytes),
    pub log: unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, u32, Bytes),
    pub monotonic_ns: unsafe extern "C-unwind" fn() -> u64,
    pub realtime_ns: unsafe extern "C-unwind" fn() -> i64,
    pub random: unsafe extern "C-unwind" fn(*mut c_void, usize),
    pub set_status: unsafe extern "C-unwind" fn(*mut c_void, u32) -> u32,
    pub status: unsafe extern "C-unwind" fn(*const c_void) -> u32,
    pub set_header: unsafe extern "C-unwind" fn(*mut c_void, Bytes, Bytes) -> u32,
    pub add_header: unsafe extern "C-unwind" fn(*mut c_void, Bytes, Bytes) -> u32,
    pub remove_header: unsafe extern "C-unwind" fn(*mut c_void, Bytes),
    pub header: unsafe extern "C-unwind" fn(*const c_void, Bytes, *mut Bytes) -> bool,
    pub set_body: unsafe extern "C-unwind" fn(*mut c_void, Bytes),
}

#[repr(C)]
pub struct Start {
    pub size: u32,
    pub host: *const Host,
    pub context: *mut c_void,
    pub name: *const c_char,
    pub mount: *const c_char,
    pub state_directory: *const c_char,
    pub settings: *const *const Setting,
    pub setting_count: usize,
}

/// `Phase` is "C-unwind" in one build of the plugin, so that a panic goes on into the host, and "C" in the other, where
/// it ends at the boundary.
#[cfg(unwinds)]
pub type Phase = unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, *const Request) -> u32;
#[cfg(not(unwinds))]
pub type Phase = unsafe extern "C" fn(*mut c_void, *mut c_void, *const Request) -> u32;
#[cfg(unwinds)]
pub type Handle = unsafe extern "C-unwind" fn(*mut c_void, u32, *mut c_void, *const Request) -> u32;
#[cfg(not(unwinds))]
pub type Handle = unsafe extern "C" fn(*mut c_void, u32, *mut c_void, *const Request) -> u32;

#[repr(C)]
pub struct Plugin {
    pub size: u32,
    pub abi_major: u32,
    pub abi_minor: u32,
    pub capabilities: u32,
    pub name: *const c_char,
    pub version: *const c_char,
    pub summary: *const c_char,
    pub settings: *const *const SettingSchema,
    pub setting_count: usize,
    pub reserved: *mut c_void,
    pub start: unsafe extern "C" fn(*const Plugin, *const Start, *mut *mut c_void) -> u32,
    pub stop: Option<unsafe extern "C" fn(*mut c_void)>,
    pub request: Option<Phase>,
    pub response: Option<Phase>,
    pub handle: Option<Handle>,
    pub extension: Option<unsafe extern "C" fn(*const Plugin, *const c_char) -> *const c_void>,
}

// Constant tables of pointers to constants.
unsafe impl Sync for Plugin {}
unsafe impl Sync for SettingSchema {}
