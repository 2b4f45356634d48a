import Foundation
import PluginAPI
import PluginTesting
import Testing

private actor Till {
  private var taken = 0

  func take() async -> Int {
    taken += 1
    return taken
  }
}

private struct Failure: Error {}

private func thread() -> UInt { UInt(pthread_self()) }

/// Where each step of a handler ran.
@concurrent private func step() async -> UInt {
  await Task.yield()
  return thread()
}

@Suite("Async handlers")
struct AsyncHandlerTests {
  private func host(_ routes: @escaping @Sendable (inout Routes) -> Void) throws -> InProcessHost {
    try ProbeActions.$current.withValue(ProbeActions(routes: routes)) {
      try InProcessHost(.of(Probe<NoSettings>.self), mount: "/p")
    }
  }

  @Test("a handler that awaits reads its request after the wait, and answers")
  func awaits() throws {
    let host = try host { routes in
      routes.post("{name}", access: .public) { request in
        try await Task.sleep(for: .milliseconds(5))
        return .text("\(request[parameter: "name"] ?? "") \(request.body ?? "")")
      }
    }
    #expect(try host.send("POST", "/p/ada", body: "hello").text == "ada hello")
  }

  @Test("all that belongs to the handler's task runs on the thread that the host called it on")
  func oneThread() throws {
    let till = Till()
    let host = try host { routes in
      routes.get("", access: .public) { _ in
        let before = thread()
        async let first = step()
        async let second = step()
        var threads = await [first, second]
        await withTaskGroup(of: UInt.self) { group in
          for _ in 0..<5 { group.addTask { await step() } }
          for await found in group { threads.append(found) }
        }
        _ = await till.take()
        try await Task.sleep(for: .milliseconds(1))
        threads.append(thread())
        return .text("\(threads.allSatisfy { $0 == before }) \(before)")
      }
    }
    #expect(try host.send("GET", "/p").text == "true \(thread())")
  }

  @Test("a problem is the response, any other error is a fault, and the next request is answered")
  func errors() throws {
    let host = try host { routes in
      routes.get("problem", access: .public) { _ in
        await Task.yield()
        throw Problem.notFound("no such thing")
      }
      routes.get("fault", access: .public) { _ in
        await Task.yield()
        throw Failure()
      }
      routes.get("good", access: .public) { _ in
        await Task.yield()
        return .text("good")
      }
    }
    #expect(try host.send("GET", "/p/problem").status == 404)
    #expect(throws: (any Error).self) { try host.send("GET", "/p/fault") }
    #expect(try host.send("GET", "/p/good").text == "good")
  }

  @Test("many at once share an actor: none is lost, none is stuck, and each has its own answer")
  func many() throws {
    let till = Till()
    let host = try host { routes in
      routes.get("{id}", access: .public) { request in
        var taken = 0
        for _ in 0..<50 {
          taken = await till.take()
          if taken % 7 == 0 { try await Task.sleep(for: .microseconds(50)) }
        }
        return .text("\(request[parameter: "id"] ?? "") \(taken)")
      }
    }
    let answers = try onThreads(8) { thread in
      try (0..<20).map { round in try host.send("GET", "/p/\(thread)-\(round)").text }
    }
    for (thread, texts) in answers.enumerated() {
      for (round, text) in texts.enumerated() { #expect(text.hasPrefix("\(thread)-\(round) ")) }
    }
    #expect(
      answers.joined().compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }.max() == 8 * 20 * 50)
  }
}
