import SystemLibrary
import Testing

@testable import Redis

@Suite("The library that speaks the protocol")
struct HiredisTests {
  @Test("the one that is installed is found, and its replies are read rightly")
  func installed() throws {
    let library = try Hiredis()
    #expect(library.name.hasPrefix("libhiredis.so."))
    // By name alone the layout is not told: it is found out.
    #expect(try Hiredis(path: library.name).name == library.name)
  }

  @Test("a library that is missing is named with the package that has it")
  func missing() {
    let error = #expect(throws: SystemLibraryError.self) { try Hiredis(path: "libhiredis.so.99") }
    #expect(error?.description.contains("libhiredis0.14") == true)
  }

  @Test("a library that is another one is refused")
  func other() {
    let error = #expect(throws: SystemLibraryError.self) { try Hiredis(path: "libc.so.6") }
    #expect(error == .noSymbol("redisReaderCreate", in: "libc.so.6"))
  }
}
