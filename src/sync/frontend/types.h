// What a Clang type is to a device program.
#pragma once

#include <string>

#include "clang/AST/ASTContext.h"
#include "clang/AST/Type.h"

namespace cajal::sync::frontend {

enum class Kind {
  other,
  command_buffer,
  queue,
  encoder,
  device,
  buffer,  ///< Memory with a handle: MTLBuffer, MTLTexture and the like.
  event,   ///< cudaEvent_t
  stream,  ///< cudaStream_t
  semaphore,
  metal,       ///< Any other Metal object.
  any_object,  ///< `id` without a protocol.
};

/// By the name of the type, pointers and NS::SharedPtr looked through: MTL::Buffer*, id<MTLBuffer>.
Kind kind_of(clang::QualType type);

/// Something that is waited for or waited on.
bool is_token(Kind kind);

/// Reference counted: the name of the handle is not the memory itself.
bool is_handle(clang::QualType type);

/// A pointer, smart pointer, iterator, span or reference-counted handle: copying it copies no
/// memory.
bool is_reference_like(clang::QualType type);

/// Standard containers whose elements are their own memory.
bool is_container(clang::QualType type);

/// A record with fields that lead to other memory; every container.
bool holds_references(clang::QualType type);

/// For containers and arrays, whether the elements are handles, pointers or records with names of
/// their own, not plain numbers.
bool has_named_elements(clang::QualType element);

bool is_heap(clang::QualType type);  ///< MTLHeap, MTL::Heap*

/// An error or a text of Foundation: no memory of a device.
bool is_text_object(clang::QualType type);

bool is_error_code(clang::QualType type);  ///< cudaError_t, hipError_t, CUresult

}  // namespace cajal::sync::frontend
