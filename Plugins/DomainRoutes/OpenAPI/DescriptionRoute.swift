import JSONBodies
import PluginAPI
import Synchronization

/// `GET openapi.json`: the API's description, made when it is first asked for.
final class DescriptionRoute: Sendable {
  private struct Document {
    let text: String
    let tag: EntityTag
  }

  private let mount: String
  private let document = Mutex<Document?>(nil)

  init(mount: String) { self.mount = mount }

  func add(to routes: inout Routes) {
    routes.get("openapi.json", access: .public, execution: .blocking) { [self] request in
      let document = try made()
      let headers = [document.tag.header, (name: "Cache-Control", value: "no-cache")]
      if document.tag.isKnown(ifNoneMatch: request.headers["if-none-match"]) {
        return Response(status: 304, headers: headers)
      }
      return Response(
        headers: headers + [(name: "Content-Type", value: "application/json")], body: .text(document.text))
    }
  }

  private func made() throws -> Document {
    if let document = document.withLock({ $0 }) { return document }
    let text = try JSONText.encode(APIDocument.json(mount: mount))
    let made = Document(text: text, tag: EntityTag(constant: Self.hash(of: text)))
    document.withLock { $0 = made }
    return made
  }

  /// FNV-1a: tells versions apart, and keeps no secret.
  private static func hash(of text: String) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return String(hash, radix: 16)
  }
}
