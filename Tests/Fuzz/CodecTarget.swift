import HTTPCodec

/// Requests, guided by coverage: what must hold for every input (`Checks`) of the HTTP codec, whole and in pieces.
///
/// Its state lives as long as the process; libFuzzer calls from one thread.
nonisolated(unsafe) private var checks = Checks(seed: 1)

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  if let finding = checks.run(UnsafeRawBufferPointer(start: data, count: count)) {
    fatalError(finding)
  }
  return 0
}
