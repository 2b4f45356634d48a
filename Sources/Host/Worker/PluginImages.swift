import LinuxShims

/// Where the code of each plugin lies: by it a fault on a thread that a plugin made is put down to the plugin.
struct PluginImages {
  private let images: UnsafeMutablePointer<guard_image>
  private var count = 0

  /// Kept for the process's life: the handler reads it.
  init(capacity: Int) { images = .allocate(capacity: max(1, capacity)) }

  mutating func add(_ library: PluginLibrary, plugin index: Int) {
    guard let start = library.table.pointee.start else { return }
    var image = guard_image(start: 0, end: 0, plugin: UInt32(index + 1))
    let address = unsafeBitCast(start, to: UnsafeRawPointer.self)
    guard guard_image_extent(address, &image.start, &image.end) else { return }
    images[count] = image
    count += 1
    guard_set_images(images, count)
  }
}
