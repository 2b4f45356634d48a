import Glibc
import HTTPCodec

extension Exchange {
  /// A copy of this exchange as it was before the plugin call that its thread never came back from.
  ///
  /// The frozen thread may still hold this exchange, and a hung one may yet write to its response. So it is left to
  /// that thread for good; the copy takes nothing from it but what no plugin can change: the request's bytes, the place
  /// in the pipeline, and what earlier plugins decided.
  func replacement(limits: CodecLimits, context: RequestView.Context) -> Exchange {
    let copy = Exchange(limits: limits, parserLimits: parserLimits)
    copy.input.append(UnsafeRawBufferPointer(input.readable))
    copy.head = head
    copy.decoder = decoder
    copy.reading = reading
    copy.requestBody = requestBody
    copy.isBodyUnread = isBodyUnread
    copy.connection = connection
    copy.startedAt = startedAt
    copy.isTrace = isTrace
    copy.match = match
    copy.chain = chain
    copy.cursor = cursor
    copy.phase = phase
    copy.ran = ran
    copy.probing = probing
    copy.copyView(of: self, context)
    for field in headers.atMark { copy.addHeader(field.name, field.value) }
    copy.isCORSDecided = before.isCORSDecided
    copy.status = before.status
    copy.responder = responder
    copy.stream = before.stream
    copy.body.append(UnsafeRawBufferPointer(before.isBodyReplaced ? bodyBefore.readable : body.readable))
    // Set by the plugin that froze, it is worth nothing.
    if before.hasIdentity { copy.setIdentity(identity.pointee) }
    for attribute in attributes.atMark {
      _ = copy.setAttribute(attribute.name, attribute.value)
    }
    for index in 0..<timelineCount { copy.timeline[index] = timeline[index] }
    copy.timelineCount = timelineCount
    return copy
  }

  /// The plugins' view once more, over this exchange's own bytes.
  private func copyView(of other: Exchange, _ context: RequestView.Context) {
    var unused = IdentifierGenerator()
    do throws(RequestError) {
      try RequestView.prepare(self, context, random: &unused)
    } catch {
      // The path was normalised once already: it cannot fail now. Should it, the answer has no path.
    }
    request.pointee.request_id = arena.copy(other.request.pointee.request_id)
    request.pointee.traceparent = arena.copy(other.request.pointee.traceparent)
    request.pointee.route = other.request.pointee.route
    request.pointee.access = other.request.pointee.access
    request.pointee.deadline_ns = other.request.pointee.deadline_ns
    request.pointee.client_address = arena.copy(other.request.pointee.client_address)
    request.pointee.client_ip = arena.copy(other.request.pointee.client_ip)
    let count = other.request.pointee.parameter_count
    for index in 0..<count {
      parameters[index] = bh_field(
        name: other.parameters[index].name, value: arena.copy(other.parameters[index].value))
    }
    request.pointee.parameters = UnsafePointer(parameters)
    request.pointee.parameter_count = count
  }
}
