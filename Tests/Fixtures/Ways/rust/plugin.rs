//! A middleware and a router in Rust that misbehaves in the way that a request names, in `X-Way: NAME`, and when it says,
//! in `X-Way-Phase: request|response|route|blocking`; or as its settings `way` and `phase` say: `start|stop`. Below its
//! mount: GET do, GET blocking.

mod abi;
mod ways;

use abi::*;
use std::ffi::{c_char, c_void, CStr};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::OnceLock;

static HOST: AtomicPtr<Host> = AtomicPtr::new(std::ptr::null_mut());
static SETTINGS: OnceLock<(String, String)> = OnceLock::new();

unsafe fn field<'a>(request: *const Request, name: &str) -> &'a str {
    let fields = std::slice::from_raw_parts((*request).fields, (*request).field_count);
    fields.iter().find(|each| each.name.text().eq_ignore_ascii_case(name)).map_or("", |each| each.value.text())
}

unsafe fn at(phase: &str, request: *const Request) -> u32 {
    if field(request, "X-Way-Phase") == phase { ways::run(field(request, "X-Way")) } else { OK }
}

macro_rules! phases {
    ($abi:literal) => {
        unsafe extern $abi fn request(_: *mut c_void, _: *mut c_void, request: *const Request) -> u32 {
            at("request", request)
        }
        unsafe extern $abi fn response(_: *mut c_void, _: *mut c_void, request: *const Request) -> u32 {
            at("response", request)
        }
        unsafe extern $abi fn handle(_: *mut c_void, _: u32, exchange: *mut c_void, request: *const Request) -> u32 {
            ((*HOST.load(Ordering::Relaxed)).set_body)(exchange, Bytes::of("done"));
            let result = at("route", request);
            if result == OK { at("blocking", request) } else { result }
        }
    };
}

#[cfg(unwinds)]
phases!("C-unwind");
#[cfg(not(unwinds))]
phases!("C");

unsafe extern "C" fn start(_: *const Plugin, start: *const Start, instance: *mut *mut c_void) -> u32 {
    let host = (*start).host;
    HOST.store(host as *mut Host, Ordering::Relaxed);
    *instance = host as *mut c_void;
    let mut given = (String::new(), String::new());
    for index in 0..(*start).setting_count {
        let setting = *(*start).settings.add(index);
        let place = if CStr::from_ptr((*setting).name) == c"way" { &mut given.0 } else { &mut given.1 };
        *place = (*setting).text.text().to_owned();
    }
    for (pattern, execution) in [(c"do", 0), (c"blocking", 1)] {
        let route = Route {
            size: std::mem::size_of::<Route>() as u32,
            method: c"GET".as_ptr(),
            pattern: pattern.as_ptr(),
            access: 0,
            role: std::ptr::null(),
            execution,
            handler: 0,
        };
        if ((*host).add_route)((*start).context, &route) != OK {
            return FAULT;
        }
    }
    let given = SETTINGS.get_or_init(|| given);
    if given.1 == "start" { ways::run(&given.0) } else { OK }
}

unsafe extern "C" fn stop(_: *mut c_void) {
    if let Some(given) = SETTINGS.get() {
        if given.1 == "stop" {
            ways::run(&given.0);
        }
    }
}

const fn setting(name: &'static CStr, help: &'static CStr) -> SettingSchema {
    SettingSchema {
        size: std::mem::size_of::<SettingSchema>() as u32,
        kind: 0,
        flags: 0,
        name: name.as_ptr(),
        default_value: std::ptr::null(),
        help: help.as_ptr(),
        choices: std::ptr::null(),
    }
}
static WAY: SettingSchema = setting(c"way", c"how it misbehaves");
static PHASE: SettingSchema = setting(c"phase", c"when it does");
static SCHEMA: [&SettingSchema; 2] = [&WAY, &PHASE];

static TABLE: Plugin = Plugin {
    size: std::mem::size_of::<Plugin>() as u32,
    abi_major: 1,
    abi_minor: 0,
    capabilities: HANDLES_REQUEST | HANDLES_RESPONSE | ROUTES,
    name: c"way-rust".as_ptr() as *const c_char,
    version: c"1.0.0".as_ptr(),
    summary: c"Misbehaves as it is told".as_ptr(),
    settings: &SCHEMA as *const _ as *const *const SettingSchema,
    setting_count: 2,
    reserved: std::ptr::null_mut(),
    start,
    stop: Some(stop),
    request: Some(request),
    response: Some(response),
    handle: Some(handle),
    extension: None,
};

#[no_mangle]
pub extern "C" fn bulkhead_plugin() -> *const Plugin {
    &TABLE
}
