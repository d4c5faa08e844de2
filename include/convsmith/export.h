// CONVSMITH_API marks what the shared library shows to the programs that link it.
#ifndef CONVSMITH_EXPORT_H
#define CONVSMITH_EXPORT_H

#if defined(__GNUC__)
#define CONVSMITH_API __attribute__((visibility("default")))
#else
#define CONVSMITH_API
#endif

#endif
