import PluginABI

/// How much a line in the log matters.
public enum LogLevel: Sendable, CaseIterable {
  case error, warning, info, debug

  var raw: bh_log_level {
    switch self {
    case .error: bh_log_level(BH_LOG_ERROR)
    case .warning: bh_log_level(BH_LOG_WARNING)
    case .info: bh_log_level(BH_LOG_INFO)
    case .debug: bh_log_level(BH_LOG_DEBUG)
    }
  }
}

/// What the host does for a plugin. Its functions may be called on any thread where nothing else is said, from
/// `init` until `stop` has returned.
public struct Host: @unchecked Sendable {
  // Invariant: `table` lives as long as the process and `context` as long as the plugin; the host's functions are safe
  // on any thread. That is what makes this Sendable.
  @usableFromInline let table: UnsafePointer<bh_host>
  @usableFromInline let context: OpaquePointer

  @inlinable init(table: UnsafePointer<bh_host>, context: OpaquePointer) {
    self.table = table
    self.context = context
  }

  /// The host's version.
  public var version: String { String(cString: table.pointee.version) }

  /// One line in the host's log, with the plugin's name. Capped per plugin; lines dropped are counted.
  public func log(_ level: LogLevel, _ message: String) {
    message.withBytes { table.pointee.log(context, nil, level.raw, $0) }
  }

  /// Bytes from the kernel's generator (getrandom(2)): fit for keys.
  public func random(_ count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, initialised in
      table.pointee.random(buffer.baseAddress, count)
      initialised = count
    }
  }

  /// CLOCK_MONOTONIC: for delays and deadlines.
  @inlinable public var monotonicNanoseconds: UInt64 { table.pointee.monotonic_ns() }

  /// CLOCK_REALTIME: nanoseconds since 1970.
  @inlinable public var realtimeNanoseconds: Int64 { table.pointee.realtime_ns() }

  /// Memory that outlives the worker: the same bytes in every generation, after swaps and after crashes, until the
  /// supervisor ends. Aligned to 64, and zero when first made. Whoever wrote to it before may have died halfway: hold no
  /// lock in it that cannot be broken, and use atomics.
  ///
  /// Thread: main, in `init`. The memory lives as long as the process.
  ///
  /// - Parameters:
  ///   - name: With the layout's version, `"counters/2"`: a region is found again only under the same name and size.
  ///   - byteCount: Its size.
  /// - Throws: ``HostRefusal/sharedRegion(name:byteCount:)``, ``HostRefusal/missingExtension(_:)``.
  public func sharedRegion(_ name: String, byteCount: Int) throws -> UnsafeMutableRawPointer {
    guard let memory = find(BH_SHARED_MEMORY, bh_shared_memory.self, upTo: \.region) else {
      throw HostRefusal.missingExtension(BH_SHARED_MEMORY)
    }
    guard byteCount > 0, let region = memory.pointee.region(context, name, byteCount) else {
      throw HostRefusal.sharedRegion(name: name, byteCount: byteCount)
    }
    return region
  }

  /// An extension's table, if the host has it, and has it up to `last`.
  func find<Table, Field>(
    _ id: String, _ type: Table.Type, upTo last: KeyPath<Table, Field>
  ) -> UnsafePointer<Table>? {
    guard let table = table.pointee.extension(context, id) else { return nil }
    guard let size = byteCount(of: type, upTo: last), table.load(as: UInt32.self) >= UInt32(size) else {
      return nil
    }
    return table.assumingMemoryBound(to: type)
  }
}

/// The size of a table that ends with `last`: BH_HAS, before the table is known to be that long.
func byteCount<Table, Field>(of table: Table.Type, upTo last: KeyPath<Table, Field>) -> Int? {
  MemoryLayout<Table>.offset(of: last).map { $0 + MemoryLayout<Field>.size }
}
