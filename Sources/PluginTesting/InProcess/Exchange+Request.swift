import Foundation
import PluginABI
import PluginAPI

extension Exchange {
  /// What earlier middleware would have left.
  func prepare(_ sent: SentRequest) {
    for (name, value) in sent.attributes { attributes[name] = arena.bytes(value) }
    guard let given = sent.identity else { return }
    _ = setIdentity(
      bh_identity(
        size: UInt32(MemoryLayout<bh_identity>.size), subject: arena.bytes(given.subject),
        email: arena.bytes(given.email), role: arena.bytes(given.role),
        scopes: arena.array(given.scopes.map { arena.bytes($0) }), scope_count: given.scopes.count,
        expires_at: given.expiresAt ?? 0))
  }

  /// The request as the ABI has it.
  func request(_ sent: SentRequest, _ destination: StartedPlugin.Destination) -> UnsafePointer<bh_request> {
    var request = bh_request()
    request.size = UInt32(MemoryLayout<bh_request>.size)
    request.method = bh_method(methods[sent.method] ?? BH_METHOD_OTHER)
    request.method_name = arena.bytes(sent.method)
    request.path = arena.bytes(sent.path)
    request.query = arena.bytes(sent.query)
    request.authority = arena.bytes(
      sent.headers.first { $0.name.lowercased() == "host" }?.value ?? "localhost")
    if case .route(let route, _) = destination, route.streamedBodyLimit != nil {
      unreadBody = sent.body[...]
    } else {
      request.body = arena.bytes(sent.body)
    }
    request.fields = arena.array(
      sent.headers.map { bh_field(name: arena.bytes($0.name), value: arena.bytes($0.value)) })
    request.field_count = sent.headers.count
    if case .route(let route, let parameters) = destination {
      request.route = arena.bytes(route.pattern)
      request.parameters = arena.array(
        parameters.map { bh_field(name: arena.bytes($0.name), value: arena.bytes($0.value)) })
      request.parameter_count = parameters.count
    } else if case .downstream = destination {
      request.route = request.path
    }
    request.access = destination.access
    request.client_address = arena.bytes(sent.client)
    request.client_ip = arena.bytes(networkOrder(sent.client))
    request.request_id = arena.bytes(requestID)
    let digits = String(sent.number, radix: 16)
    let trace = String(repeating: "0", count: 32 - digits.count) + digits
    request.traceparent = arena.bytes("00-\(trace)-00000000000000f1-01")
    request.deadline_ns = HostTable.pointer.pointee.monotonic_ns() &+ sent.timeout.inNanoseconds
    return arena.value(request)
  }

  /// Access as the host enforces it; makes the refusal, if it is one.
  func admits(_ access: bh_access, role: String) -> Bool {
    guard access != bh_access(BH_ACCESS_PUBLIC) else { return true }
    guard let identity else {
      setProblem(status: 401, code: "unauthorized")
      _ = setField(arena.bytes("WWW-Authenticate"), arena.bytes("Bearer"), replacing: false)
      return false
    }
    guard access == bh_access(BH_ACCESS_AUTHENTICATED) || identity.pointee.role.text == role else {
      setProblem(status: 403, code: "forbidden")
      return false
    }
    return true
  }

  /// What is sent.
  func answer(body: [UInt8], reachedHandler: Bool) -> Answer {
    var answer = Answer(
      status: Int(status), headers: fields.map { (name: $0.name.text, value: $0.value.text) })
    answer.body = body
    answer.attributes = attributes.mapValues(\.copy)
    answer.decidedCORS = decidedCORS
    answer.reachedHandler = reachedHandler
    answer.identity = identity.map { raw in
      Identity(
        subject: raw.pointee.subject.text, email: raw.pointee.email.text, role: raw.pointee.role.text,
        scopes: (0..<raw.pointee.scope_count).map { raw.pointee.scopes[$0].text },
        expiresAt: raw.pointee.expires_at == 0 ? nil : raw.pointee.expires_at)
    }
    return answer
  }
}

private let methods = [
  "GET": BH_METHOD_GET, "HEAD": BH_METHOD_HEAD, "POST": BH_METHOD_POST, "PUT": BH_METHOD_PUT,
  "PATCH": BH_METHOD_PATCH, "DELETE": BH_METHOD_DELETE, "OPTIONS": BH_METHOD_OPTIONS,
]

/// 4 or 16 bytes; none if it is no address.
private func networkOrder(_ address: String) -> [UInt8] {
  for (family, count) in [(AF_INET, 4), (AF_INET6, 16)] {
    var bytes = [UInt8](repeating: 0, count: count)
    if inet_pton(family, address, &bytes) == 1 { return bytes }
  }
  return []
}

extension Duration {
  fileprivate var inNanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    return UInt64(bitPattern: seconds &* 1_000_000_000 &+ attoseconds / 1_000_000_000)
  }
}
