import PluginABI
import PluginAPI
import Synchronization

/// The host's side of one plugin: what `bh_context *` points at. Used by any thread.
final class PluginContext: Sendable {
  struct State {
    var isStarting = true
    var routes = RouteTable()
    var lines: [LogLine] = []
    var metrics: [String: Metric] = [:]
    var error: String?
  }

  let name: String
  let mount: String
  let capabilities: UInt32
  let regions: SharedRegions
  let state = Mutex(State())
  let clock = TestClock()

  init(name: String, mount: String, capabilities: UInt32, regions: SharedRegions) {
    self.name = name
    self.mount = mount
    self.capabilities = capabilities
    self.regions = regions
  }

  func has(_ capability: Int) -> Bool { capabilities & UInt32(capability) != 0 }

  var pointer: OpaquePointer { OpaquePointer(Unmanaged.passUnretained(self).toOpaque()) }

  static func at(_ pointer: OpaquePointer) -> PluginContext {
    Unmanaged<PluginContext>.fromOpaque(UnsafeRawPointer(pointer)).takeUnretainedValue()
  }

  /// The reason that was stated last outside of a request; asking takes it away.
  func takeError() -> String {
    state.withLock { state in
      defer { state.error = nil }
      return state.error ?? "no reason given"
    }
  }
}

/// One line that a plugin has logged.
public struct LogLine: Sendable, Equatable {
  public let level: LogLevel
  public let message: String
  /// `nil` outside of requests.
  public let requestID: String?

  public init(level: LogLevel, message: String, requestID: String? = nil) {
    self.level = level
    self.message = message
    self.requestID = requestID
  }
}

/// What a metric has come to.
public struct MetricValue: Sendable, Equatable {
  /// Of a counter or gauge its value, of a histogram the sum in seconds.
  public var value: Double
  /// How often it was changed.
  public var count: Int

  public init(value: Double = 0, count: Int = 0) {
    self.value = value
    self.count = count
  }
}

/// What `bh_metric *` points at.
final class Metric: Sendable {
  let kind: bh_metric_kind
  let state = Mutex(MetricValue())

  init(kind: bh_metric_kind) { self.kind = kind }

  var pointer: OpaquePointer { OpaquePointer(Unmanaged.passUnretained(self).toOpaque()) }

  static func at(_ pointer: OpaquePointer) -> Metric {
    Unmanaged<Metric>.fromOpaque(UnsafeRawPointer(pointer)).takeUnretainedValue()
  }
}

/// Memory that outlives an ``InProcessHost``: hand the same to the next one, and the plugin finds its regions again.
public final class SharedRegions: Sendable {
  private struct Region {
    let name: String
    let byteCount: Int
    let address: UnsafeMutableRawPointer
  }

  private let regions = Mutex<[Region]>([])

  public init() {}

  deinit { regions.withLock { for region in $0 { region.address.deallocate() } } }

  func region(_ name: String, byteCount: Int) -> UnsafeMutableRawPointer? {
    guard byteCount > 0, byteCount <= 1 << 30 else { return nil }
    return regions.withLock { regions -> UInt in
      if let known = regions.first(where: { $0.name == name && $0.byteCount == byteCount }) {
        return UInt(bitPattern: known.address)
      }
      let address = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
      address.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
      regions.append(Region(name: name, byteCount: byteCount, address: address))
      return UInt(bitPattern: address)
    }.asPointer
  }
}

extension UInt {
  fileprivate var asPointer: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: self) }
}
