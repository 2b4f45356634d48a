/// What an edit would take out of service by what it leaves out. A pure function of two files.
///
/// A file that was emptied, cut off or only begun to be written makes sense more often than not, and would take most of the
/// host out of service.
enum EditCheck {
  enum Verdict: Equatable {
    case fits
    /// It is not to be taken, unless the operator insists.
    case drops([ConfigurationStatus.Item])
    /// It ends in the middle of a section of the file that serves: it may be half-written, and is looked at again.
    case mayBeCut
  }

  /// - Parameter bound: the addresses that are listened on, ports as the kernel chose them.
  static func judge(
    _ next: ConfigurationSource, after serving: ConfigurationSource, bound: [ListenAddress]
  ) -> Verdict {
    var items = dropped(by: next.configuration, after: serving.configuration, bound)
    let cut = CutFile.judge(next.text[...], after: serving.text[...])
    if cut == .inLine {
      items.append(
        ConfigurationStatus.Item(
          plugin: nil, reason: ConfigurationStatus.Item.halfWritten,
          message: "the file ends in the middle of a line of the one that serves"))
    }
    if !next.hasHostSection, serving.hasHostSection {
      items.append(
        ConfigurationStatus.Item(
          plugin: nil, reason: ConfigurationStatus.Item.dropped,
          message: "the file has no section [host] any more"))
    }
    if !items.isEmpty { return .drops(items) }
    return cut == .inSection ? .mayBeCut : .fits
  }

  private static func dropped(
    by next: Configuration, after serving: Configuration, _ bound: [ListenAddress]
  ) -> [ConfigurationStatus.Item] {
    var items: [ConfigurationStatus.Item] = []
    func drop(_ plugin: String?, _ message: String) {
      items.append(
        ConfigurationStatus.Item(
          plugin: plugin, reason: ConfigurationStatus.Item.dropped, message: message))
    }
    if next.plugins.isEmpty, !serving.plugins.isEmpty {
      drop(nil, "the file names no plugin any more; \(serving.plugins.count) are served")
    } else {
      let names = Set(next.plugins.map(\.name))
      for plugin in serving.plugins where plugin.isRequired && plugin.mode != .off {
        if !names.contains(plugin.name) {
          drop(plugin.name, "the file has no section of this required plugin any more")
        }
      }
    }
    // An address that cannot be had beside one of ours needs a restart, of which the listeners tell.
    let isKept = next.host.listen.contains { address in
      serving.host.listen.contains(address) || bound.contains { $0 == address || $0.excludes(address) }
    }
    if !isKept, !bound.isEmpty {
      drop(
        nil,
        "the file gives up every address that is listened on: \(bound.map(\.text).joined(separator: ", "))")
    }
    return items
  }
}

extension ConfigurationSource {
  /// A line of the file begins with `[host`.
  var hasHostSection: Bool {
    text.split(separator: 0x0a).contains { line in
      line.drop { $0 == 0x20 || $0 == 0x09 }.starts(with: "[host".utf8)
    }
  }
}
