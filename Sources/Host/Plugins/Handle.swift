/// The opaque pointers that plugins are given for the host's own objects.
///
/// None is an address that malloc(3) has returned, but one within such a block: a plugin that frees a handle is ended by the C
/// library inside its own call, and spoils no memory that is the host's.
enum Handle {
  /// Bytes. What stands before the address, an object's header or zeros, is no size that free(3) accepts.
  static let offset = 16

  /// The handle of an object, which has to outlive it.
  @inline(__always)
  static func of(_ object: AnyObject) -> OpaquePointer {
    OpaquePointer(Unmanaged.passUnretained(object).toOpaque() + offset)
  }

  /// The object that the handle is of.
  @inline(__always)
  static func object<Object: AnyObject>(_ handle: OpaquePointer, _: Object.Type) -> Object {
    Unmanaged<Object>.fromOpaque(UnsafeRawPointer(handle) - offset).takeUnretainedValue()
  }

  /// Memory for one value, not initialised, that likewise is within a block. `free` gives it back.
  static func allocate<Value>(_: Value.Type) -> UnsafeMutablePointer<Value> {
    let block = UnsafeMutableRawPointer.allocate(byteCount: offset + MemoryLayout<Value>.size, alignment: 16)
    block.initializeMemory(as: UInt8.self, repeating: 0, count: offset)
    return (block + offset).bindMemory(to: Value.self, capacity: 1)
  }

  static func free<Value>(_ memory: UnsafeMutablePointer<Value>) {
    (UnsafeMutableRawPointer(memory) - offset).deallocate()
  }
}
