#include "sync/frontend/types.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "clang/AST/DeclCXX.h"
#include "clang/AST/DeclObjC.h"
#include "clang/AST/DeclTemplate.h"

namespace cajal::sync::frontend {
namespace {

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool ends(std::string_view text, std::string_view part) { return text.ends_with(part); }

const clang::RecordDecl* record_of(clang::QualType type) {
  if (type.isNull()) return nullptr;
  type = type.getNonReferenceType().getCanonicalType();
  return type->getAsRecordDecl();
}

std::string record_name(clang::QualType type) {
  const clang::RecordDecl* record = record_of(type);
  return record != nullptr ? record->getNameAsString() : std::string();
}

/// "MTLBuffer" and "MTL::Buffer" alike.
Kind metal_kind(std::string_view name) {
  for (const std::string_view memory :
       {"IndirectCommandBuffer", "AccelerationStructure", "FunctionTable", "Tensor"}) {
    if (ends(name, memory)) return Kind::buffer;
  }
  if (ends(name, "ArgumentEncoder")) return Kind::metal;
  if (ends(name, "CommandBuffer")) return Kind::command_buffer;
  if (ends(name, "CommandQueue")) return Kind::queue;
  if (ends(name, "Encoder")) return Kind::encoder;
  if (ends(name, "Device")) return Kind::device;
  if (ends(name, "Buffer") || ends(name, "Texture") || ends(name, "Resource") ||
      ends(name, "Heap")) {
    return Kind::buffer;
  }
  return Kind::metal;
}

/// A protocol of the program's own may build on one of Metal's.
Kind protocol_kind(const clang::ObjCProtocolDecl& protocol) {
  const std::string name = protocol.getNameAsString();
  if (name.starts_with("MTL")) return metal_kind(name);
  if (!protocol.hasDefinition()) return Kind::other;
  for (const clang::ObjCProtocolDecl* above : protocol.protocols()) {
    const Kind kind = protocol_kind(*above);
    if (kind != Kind::other) return kind;
  }
  return Kind::other;
}

Kind objc_kind(const clang::ObjCObjectPointerType& type) {
  for (const clang::ObjCProtocolDecl* protocol : type.quals()) {
    const Kind kind = protocol_kind(*protocol);
    if (kind != Kind::other) return kind;
  }
  const clang::ObjCInterfaceDecl* interface = type.getInterfaceDecl();
  if (interface != nullptr) {
    const std::string name = interface->getNameAsString();
    if (name == "MPSCommandBuffer") return Kind::command_buffer;
    if (name == "MPSMatrix" || name == "MPSVector" || name == "MPSNDArray" ||
        name == "MPSGraphTensorData" || name == "MPSImage" || name == "MPSTemporaryMatrix" ||
        name == "MPSTemporaryImage") {
      return Kind::buffer;
    }
    return Kind::other;
  }
  if (has(type.desugar().getAsString(), "dispatch_semaphore")) return Kind::semaphore;
  return type.isObjCIdType() ? Kind::any_object : Kind::other;
}

clang::QualType smart_pointee(clang::QualType type) {
  const auto* special =
      llvm::dyn_cast_or_null<clang::ClassTemplateSpecializationDecl>(record_of(type));
  if (special == nullptr) return {};
  constexpr std::array<std::string_view, 4> kSmart = {"SharedPtr", "shared_ptr", "unique_ptr",
                                                      "optional"};
  const std::string name = special->getNameAsString();
  for (const std::string_view smart : kSmart) {
    if (name != smart) continue;
    const auto& argument = special->getTemplateArgs()[0];
    if (argument.getKind() == clang::TemplateArgument::Type) return argument.getAsType();
  }
  return {};
}

Kind typedef_kind(clang::QualType type) {
  const std::string text = type.getUnqualifiedType().getAsString();
  if (has(text, "dispatch_semaphore_t")) return Kind::semaphore;
  if (has(text, "cudaStream_t") || has(text, "hipStream_t") || has(text, "CUstream")) {
    return Kind::stream;
  }
  if (has(text, "cudaEvent_t") || has(text, "hipEvent_t") || has(text, "CUevent")) {
    return Kind::event;
  }
  return Kind::other;
}

}  // namespace

Kind kind_of(clang::QualType type) {
  if (type.isNull()) return Kind::other;
  type = type.getNonReferenceType();
  const Kind named = typedef_kind(type);
  if (named != Kind::other) return named;
  const clang::QualType canonical = type.getCanonicalType();
  const Kind desugared = typedef_kind(canonical);
  if (desugared != Kind::other) return desugared;
  if (has(canonical.getAsString(), "CUstream_st")) return Kind::stream;
  if (has(canonical.getAsString(), "CUevent_st")) return Kind::event;
  if (const auto* object = canonical->getAs<clang::ObjCObjectPointerType>()) {
    return objc_kind(*object);
  }
  if (const clang::QualType inner = smart_pointee(canonical); !inner.isNull()) {
    const Kind kind = kind_of(inner);
    if (kind != Kind::other) return kind;
    type = inner;
  }
  const clang::QualType pointee = type.getCanonicalType()->getPointeeType();
  const clang::RecordDecl* record = record_of(pointee.isNull() ? type : pointee);
  if (record == nullptr) return Kind::other;
  const std::string qualified = record->getQualifiedNameAsString();
  if (has(qualified, "dispatch_semaphore")) return Kind::semaphore;
  if (qualified.starts_with("MTL::") || qualified.starts_with("MTL4::")) {
    return metal_kind(record->getNameAsString());
  }
  return Kind::other;
}

bool is_token(Kind kind) {
  return kind == Kind::command_buffer || kind == Kind::queue || kind == Kind::encoder ||
         kind == Kind::event || kind == Kind::stream || kind == Kind::semaphore ||
         kind == Kind::any_object;
}

bool is_handle(clang::QualType type) {
  if (type.isNull()) return false;
  if (type.getCanonicalType()->isObjCObjectPointerType()) return true;
  const Kind kind = kind_of(type);
  return kind != Kind::other;
}

bool is_container(clang::QualType type) {
  constexpr std::array<std::string_view, 8> kNames = {
      "vector", "array", "basic_string", "deque", "map", "unordered_map", "valarray", "list"};
  const std::string name = record_name(type);
  for (const std::string_view one : kNames) {
    if (name == one) return true;
  }
  return false;
}

bool is_reference_like(clang::QualType type) {
  if (type.isNull()) return false;
  if (type->isReferenceType()) return true;
  const clang::QualType canonical = type.getCanonicalType();
  if (canonical->isPointerType() || canonical->isObjCObjectPointerType() ||
      canonical->isBlockPointerType()) {
    return true;
  }
  if (!smart_pointee(canonical).isNull()) return true;
  const std::string name = record_name(canonical);
  return name == "span" || name == "basic_string_view" || name.find("iterator") != name.npos ||
         kind_of(type) != Kind::other;
}

bool holds_references(clang::QualType type) {
  const clang::RecordDecl* record = type.getCanonicalType()->getAsRecordDecl();
  if (record == nullptr || is_container(type)) return record != nullptr;
  const auto fields = record->fields();
  return std::any_of(fields.begin(), fields.end(), [](const clang::FieldDecl* field) {
    return is_reference_like(field->getType()) || holds_references(field->getType());
  });
}

bool has_named_elements(clang::QualType element) {
  if (element.isNull()) return false;
  clang::QualType type = element.getNonReferenceType().getCanonicalType();
  // A row of numbers is often the way to the rows behind it.
  while (const clang::ArrayType* array = type->getAsArrayTypeUnsafe()) {
    type = array->getElementType();
  }
  return is_reference_like(type) || type->isRecordType();
}

bool is_heap(clang::QualType type) {
  const std::string name = type.getCanonicalType().getAsString();
  return name.find("MTLHeap") != std::string::npos || name.find("MTL::Heap") != std::string::npos;
}

bool is_text_object(clang::QualType type) {
  const auto is_named = [](llvm::StringRef name) {
    return name == "NSError" || name == "NSString" || name == "Error" || name == "String";
  };
  if (const auto* objc = type->getAs<clang::ObjCObjectPointerType>()) {
    return objc->getInterfaceDecl() != nullptr && is_named(objc->getInterfaceDecl()->getName());
  }
  const clang::CXXRecordDecl* record = type->getPointeeCXXRecordDecl();
  if (record == nullptr || !is_named(record->getName())) return false;
  const auto* space = llvm::dyn_cast<clang::NamespaceDecl>(record->getDeclContext());
  return space != nullptr && space->getName() == "NS";
}

bool is_error_code(clang::QualType type) {
  if (type.isNull()) return false;
  const std::string text = type.getCanonicalType().getUnqualifiedType().getAsString();
  return has(text, "cudaError") || has(text, "hipError") || has(text, "cudaError_enum");
}

}  // namespace cajal::sync::frontend
