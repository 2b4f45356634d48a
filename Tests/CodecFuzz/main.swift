// Looks for requests that the codec reads in two ways: mutates a corpus, and checks that what comes whole, byte by
// byte and in random pieces is read alike, and that what is accepted is what the grammar allows.
//
//   codec-fuzz [--inputs 10000000] [--seconds 120] [--seed N]
//
// Stops at whichever bound comes first. Exits with 1 if it has found something, whose bytes it prints.
import Glibc

exit(FuzzRun.main(Array(CommandLine.arguments.dropFirst())))
