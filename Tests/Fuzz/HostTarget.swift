import Glibc

/// What the host reads, guided by coverage. `BULKHEAD_FUZZ` says which: `configuration`, `json`, `messages` or `manifest`.
///
/// Compiled by scripts/fuzz as a part of the host's own module.
private let target = getenv("BULKHEAD_FUZZ").map { String(cString: $0) } ?? ""

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: data, count: count))
  let finding: String?
  switch target {
  case "configuration": finding = FuzzTargets.configuration(bytes)
  case "json": finding = FuzzTargets.json(bytes)
  case "messages": finding = FuzzTargets.messages(bytes)
  case "manifest": finding = FuzzTargets.manifest(bytes)
  default: finding = "BULKHEAD_FUZZ names no target"
  }
  if let finding { fatalError(finding) }
  return 0
}

/// Each returns what does not hold, or nil. A trap is a finding by itself.
enum FuzzTargets {
  /// A configuration is taken, or refused with a reason, whose line is one of the file.
  static func configuration(_ bytes: [UInt8]) -> String? {
    guard case .failure(let refusal) = ConfigurationFile.parse(bytes: bytes, path: "fuzz.conf") else {
      return nil
    }
    guard !refusal.errors.isEmpty else { return "refused without a reason" }
    let lines = bytes.count { $0 == 0x0a } + 1
    let wrong = refusal.errors.first { $0.line.map { $0 < 1 || $0 > lines } ?? false }
    return wrong.map { "\($0): there are \(lines) lines" }
  }

  static func json(_ bytes: [UInt8]) -> String? {
    guard let value = JSONValue(parsing: bytes) else { return nil }
    // What is read is read the same again, whatever follows it in white space.
    return JSONValue(parsing: bytes + [0x20, 0x0a]) == value ? nil : "white space changes the value"
  }

  /// What a worker and its supervisor tell each other.
  static func messages(_ bytes: [UInt8]) -> String? {
    let message = WorkerMessage(bytes)
    guard WorkerMessage(bytes) == message else { return "two readings of one message" }
    let text = String(decoding: bytes, as: UTF8.self)
    return WorkerControl.Message(text) == WorkerControl.Message(text) ? nil : "two readings of one order"
  }

  /// What is read and written again is the same.
  static func manifest(_ bytes: [UInt8]) -> String? {
    guard let manifest = Manifest(bytes) else { return nil }
    guard let again = Manifest(manifest.bytes) else { return "its own text makes no sense" }
    return again.bytes == manifest.bytes ? nil : "it is not written as it was read"
  }
}
