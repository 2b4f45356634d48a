import Glibc
import Synchronization

/// A request laid out for a plugin, so that whatever is done with it beyond the contract faults: each view ends where a
/// page ends that nobody may touch, and the views can be made read-only, and taken away once the request is over.
///
/// Unsafe memory: one mapping, made in `init`; blocks do not overlap, and are never moved, until `release`.
final class GuardedViews: @unchecked Sendable {
  enum Protection: Sendable { case writable, readOnly, gone }

  /// One view: its pages, and the page behind them.
  private struct Block {
    var name: String
    var pages: Range<UInt>
    var guardEnd: UInt
  }

  /// What the plugin gets.
  private(set) var request: UnsafePointer<bh_request>!
  private let base: UnsafeMutableRawPointer
  private let capacity: Int
  private var used = 0
  private var blocks: [Block] = []
  private(set) var protection = Protection.writable

  private static let page = 4096
  /// All there are, for whoever has an address to name. Appended to before a plugin is called.
  private static let registry = Mutex<[Unmanaged<GuardedViews>]>([])

  init(_ source: ProbeRequest, id: String) throws(Finding) {
    var views = source.fields.count * 2 + 32
    views += source.body.count / GuardedViews.page + 64
    for field in source.fields { views += field.value.count / GuardedViews.page }
    capacity = (views * 2 + 64) * GuardedViews.page
    let memory = mmap(
      nil, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let memory, memory != MAP_FAILED else {
      throw .broken("no memory for a request: \(SystemError("mmap"))")
    }
    base = memory
    let layout = Layout(source: source, id: id)
    request = layout.build { place($0, $1, $2) }
    GuardedViews.registry.withLock { $0.append(Unmanaged.passRetained(self)) }
  }

  /// Copies bytes to the end of pages of their own.
  private func place(_ name: String, _ bytes: UnsafeRawBufferPointer, _ hasNulls: Bool)
    -> UnsafeMutableRawPointer?
  {
    if bytes.isEmpty, hasNulls { return nil }
    let pages = max(1, (bytes.count + GuardedViews.page - 1) / GuardedViews.page)
    let start = base + used
    let end = start + pages * GuardedViews.page
    used += (pages + 1) * GuardedViews.page
    precondition(used <= capacity, "a request needs more pages than were counted")
    let memory = end - bytes.count
    if let source = bytes.baseAddress { memory.copyMemory(from: source, byteCount: bytes.count) }
    mprotect(end, GuardedViews.page, PROT_NONE)
    blocks.append(
      Block(
        name: name, pages: UInt(bitPattern: start)..<UInt(bitPattern: end),
        guardEnd: UInt(bitPattern: end) + UInt(GuardedViews.page)))
    return memory
  }

  /// Changes what may be done with every view at once.
  func protect(_ protection: Protection) {
    self.protection = protection
    let bits =
      switch protection {
      case .writable: PROT_READ | PROT_WRITE
      case .readOnly: PROT_READ
      case .gone: PROT_NONE
      }
    for block in blocks {
      mprotect(UnsafeMutableRawPointer(bitPattern: block.pages.lowerBound), block.pages.count, bits)
    }
  }

  /// Gives the memory back. Only once no call uses it; a pointer that was kept into it then faults without a name.
  func release() {
    let mine = Unmanaged.passUnretained(self)
    GuardedViews.registry.withLock { list in list.removeAll { $0.toOpaque() == mine.toOpaque() } }
    munmap(base, capacity)
    mine.release()
  }

  /// What was done at an address, and the rule against it; nil if it lies in no view.
  static func describe(_ address: UInt64) -> (text: String, rule: String)? {
    let address = UInt(address)
    let all = registry.withLock { $0.map { $0.takeUnretainedValue() } }
    for views in all {
      for block in views.blocks {
        if block.pages.contains(address) {
          switch views.protection {
          case .gone: return ("it used \(block.name) after the request was over", "views-lifetime")
          case .readOnly, .writable:
            return ("it wrote into \(block.name), which is read-only", "views-read-only")
          }
        }
        if address >= block.pages.upperBound, address < block.guardEnd {
          return ("it went past the end of \(block.name), which is not terminated", "views-bounds")
        }
      }
    }
    return nil
  }
}

/// Fills in a `bh_request` of views that somebody else places.
private struct Layout {
  let source: ProbeRequest
  let id: String
  typealias Place = (String, UnsafeRawBufferPointer, Bool) -> UnsafeMutableRawPointer?

  func build(_ place: Place) -> UnsafePointer<bh_request>? {
    func view(_ name: String, _ bytes: [UInt8]) -> bh_bytes {
      let data = bytes.withUnsafeBytes { place(name, $0, source.hasNulls) }
      return bh_bytes(
        data: data.map { UnsafePointer($0.assumingMemoryBound(to: CChar.self)) }, count: bytes.count)
    }
    func list(_ name: String, _ fields: [bh_field]) -> UnsafePointer<bh_field>? {
      let data = fields.withUnsafeBytes { place(name, $0, true) }
      return data.map { UnsafePointer($0.assumingMemoryBound(to: bh_field.self)) }
    }
    var abi = bh_request()
    abi.size = UInt32(MemoryLayout<bh_request>.size)
    abi.method = Layout.methods[source.method] ?? bh_method(BH_METHOD_OTHER)
    abi.method_name = view("method_name", Array(source.method.utf8))
    let pattern = source.route?.pattern ?? ""
    let tail = pattern.split(separator: "/").map { $0.hasPrefix("{") ? "value" : String($0) }.joined(
      separator: "/")
    abi.path = view("path", Array((source.route == nil ? source.path : "/validate/\(tail)").utf8))
    abi.query = view("query", source.query)
    abi.authority = view("authority", Array(source.authority.utf8))
    abi.body = view("body", source.body)
    abi.fields = list(
      "fields",
      source.fields.map { field in
        bh_field(
          name: view("the name of the field \(field.name)", Array(field.name.utf8)),
          value: view("the value of the field \(field.name)", field.value))
      })
    abi.field_count = source.fields.count
    let names = pattern.split(separator: "/").filter { $0.hasPrefix("{") }.map {
      String($0.dropFirst().dropLast())
    }
    abi.parameters = list(
      "parameters",
      names.map { name in
        bh_field(
          name: view("the name of the parameter \(name)", Array(name.utf8)),
          value: view("the value of the parameter \(name)", source.parameter))
      })
    abi.parameter_count = names.count
    abi.route = view("route", Array((source.route == nil ? "/validate/{id}" : "/validate/\(pattern)").utf8))
    abi.access = source.route?.access.abi ?? bh_access(BH_ACCESS_PUBLIC)
    abi.client_address = view("client_address", Array(source.client.utf8))
    abi.client_ip = view("client_ip", source.clientIP)
    abi.request_id = view("request_id", Array(id.utf8))
    abi.traceparent = view(
      "traceparent", Array("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".utf8))
    abi.deadline_ns = Clock.monotonic() &+ UInt64(bitPattern: source.timeLeft)
    let data = withUnsafeBytes(of: abi) { place("the bh_request", $0, false) }
    return data.map { UnsafePointer($0.assumingMemoryBound(to: bh_request.self)) }
  }

  private static let methods: [String: bh_method] = [
    "GET": bh_method(BH_METHOD_GET), "HEAD": bh_method(BH_METHOD_HEAD), "POST": bh_method(BH_METHOD_POST),
    "PUT": bh_method(BH_METHOD_PUT), "PATCH": bh_method(BH_METHOD_PATCH),
    "DELETE": bh_method(BH_METHOD_DELETE),
    "OPTIONS": bh_method(BH_METHOD_OPTIONS),
  ]
}
