// Where objects and the memory that they own come to an end.
#include <fmt/format.h>

#include "clang/AST/DeclCXX.h"
#include "clang/AST/DeclTemplate.h"
#include "clang/AST/ExprCXX.h"
#include "sync/frontend/lower.h"

namespace cajal::sync::frontend {
namespace {

clang::QualType type_argument(clang::QualType type, unsigned index) {
  const auto* special =
      llvm::dyn_cast_or_null<clang::ClassTemplateSpecializationDecl>(type->getAsCXXRecordDecl());
  if (special == nullptr || special->getTemplateArgs().size() <= index) return {};
  const clang::TemplateArgument& argument = special->getTemplateArgs()[index];
  return argument.getKind() == clang::TemplateArgument::Type ? argument.getAsType()
                                                             : clang::QualType();
}

std::string record_name(clang::QualType type) {
  const clang::CXXRecordDecl* record = type.isNull() ? nullptr : type->getAsCXXRecordDecl();
  return record == nullptr ? std::string() : record->getNameAsString();
}

/// What a smart pointer deletes.
clang::QualType owned_by(clang::QualType type) {
  const std::string name = record_name(type);
  const bool owner = name == "unique_ptr" || name == "shared_ptr" || name == "optional";
  return owner ? type_argument(type, 0) : clang::QualType();
}

/// Plain numbers: memory that leads nowhere else.
bool is_plain(clang::QualType type) {
  if (type.isNull()) return false;
  if (const clang::ArrayType* array = type->getAsArrayTypeUnsafe()) {
    return is_plain(array->getElementType());
  }
  return type->isArithmeticType() || type->isEnumeralType();
}

const clang::CXXMethodDecl* call_operator(const clang::CXXRecordDecl* record) {
  if (record == nullptr || !record->hasDefinition()) return nullptr;
  for (const clang::CXXMethodDecl* method : record->methods()) {
    if (method->getOverloadedOperator() == clang::OO_Call) return method;
  }
  return nullptr;
}

}  // namespace

void Lowering::free_memory(const Path& memory, clang::SourceLocation at) {
  Event& event = emit(Op::host, at);
  event.accesses.push_back({memory, true, false});
  event.text = fmt::format("frees `{}`", to_string(memory));
}

/// The memory of a std::unique_ptr, by its deleter.
void Lowering::end_owned(const Path& object, clang::QualType type, clang::SourceLocation at) {
  const clang::QualType deleter = type_argument(type, 1);
  if (record_name(deleter) == "default_delete") {
    if (is_plain(type_argument(type, 0))) free_memory(object, at);
    return;
  }
  const clang::CXXMethodDecl* code =
      call_operator(deleter.isNull() ? nullptr : deleter->getAsCXXRecordDecl());
  const auto known =
      code == nullptr ? unit_.functions.end() : unit_.functions.find(code->getCanonicalDecl());
  if (known != unit_.functions.end()) {
    Event& event = emit(Op::call, at);
    event.callee = known->second;
    event.arguments.push_back(object);
    return;
  }
  Event& event = emit(Op::unknown, at);
  event.accesses.push_back({object, true, false});
  event.text = fmt::format("gives `{}` back by a deleter that is not in view", to_string(object));
}

/// Runs the destructors in view of an object, of what it owns and of its fields. False for none.
bool Lowering::end_object(const Path& object, clang::QualType type, clang::SourceLocation at) {
  constexpr std::size_t kDeepest = 4;
  if (object.empty() || object.fields.size() > kDeepest) return false;
  if (const clang::QualType owned = owned_by(type); !owned.isNull()) {
    const bool any = end_object(object, owned, at);
    const bool sole = record_name(type) == "unique_ptr";
    if (sole) end_owned(object, type, at);
    return any || sole;
  }
  if (is_container(type) && !is_reference_like(type)) {
    const clang::QualType element = type_argument(type, 0);
    if (!element.isNull()) end_object(object.field("[*]"), element, at);
    if (!element.isNull() && is_plain(element)) free_memory(object, at);
    return false;
  }
  const clang::CXXRecordDecl* record = type->getAsCXXRecordDecl();
  if (record == nullptr || !record->hasDefinition() || unit_.in_system(record->getLocation())) {
    return false;
  }
  bool any = false;
  const clang::CXXDestructorDecl* destructor = record->getDestructor();
  if (destructor != nullptr) {
    const auto known = unit_.functions.find(destructor->getCanonicalDecl());
    if (known != unit_.functions.end()) {
      Event& event = emit(Op::call, at);
      event.callee = known->second;
      event.source = object;
      any = true;
    }
  }
  for (const clang::FieldDecl* field : record->fields()) {
    any = end_object(object.field(without_underscores(field->getNameAsString())), field->getType(),
                     at) ||
          any;
  }
  for (const clang::CXXBaseSpecifier& base : record->bases()) {
    any = end_object(object, base.getType(), at) || any;
  }
  return any;
}

/// What methods of owners and containers end: unique.reset(), list.pop_back().
void Lowering::end_parts(const clang::Expr* receiver, const std::string& name,
                         clang::SourceLocation at) {
  const clang::QualType type = receiver->getType().getNonReferenceType();
  if (record_name(type) == "unique_ptr" && name == "reset") {
    end_object(path(receiver), type, at);
  } else if (is_container(type)) {
    const bool ends = name == "clear" || name == "pop_back" || name == "erase" ||
                      name == "resize" || name == "assign" || name == "pop_front";
    const clang::QualType element = type_argument(type, 0);
    if (ends && !element.isNull()) end_object(path(receiver).field("[*]"), element, at);
    if (name == "pop_back" || name == "erase" || name == "reserve" || name == "shrink_to_fit" ||
        name == "pop_front") {
      write(receiver);
    }
  }
}

void Lowering::remove(const clang::CXXDeleteExpr* gone) {
  const Path freed = path(gone->getArgument());
  if (!freed.empty()) free_memory(freed, gone->getExprLoc());
  const clang::QualType type = gone->getDestroyedType();
  const clang::CXXRecordDecl* record = type.isNull() ? nullptr : type->getAsCXXRecordDecl();
  if (record == nullptr || !record->hasDefinition()) return;
  const clang::CXXDestructorDecl* destructor = record->getDestructor();
  if (destructor != nullptr && destructor->isVirtual() && !record->isEffectivelyFinal()) {
    Event& event = emit(Op::unknown, gone->getExprLoc());
    event.traits.touches_all = true;
    event.accesses.push_back({paths_.of(gone->getArgument()), true, false});
    event.text = "deletes an object whose class may have another destructor";
    return;
  }
  end_object(path(gone->getArgument()), type, gone->getExprLoc());
}

/// What a temporary's destructor does comes at the end of the statement, or never when it becomes a
/// variable, so it is no more than possible.
void Lowering::end_temporary(const clang::CXXBindTemporaryExpr* bound) {
  const clang::CXXDestructorDecl* destructor = bound->getTemporary()->getDestructor();
  if (destructor == nullptr || !unit_.functions.contains(destructor->getCanonicalDecl())) return;
  const clang::Expr* made = bare(bound);
  if (paths_.named_values.contains(made)) return;
  const Path object = path(made);
  if (object.empty()) return;
  Event& event = emit(Op::unknown, bound->getExprLoc());
  event.accesses.push_back({object, true, false});
  event.text = "ends a temporary whose destructor runs code";
}

/// A variable's own memory may be another's once its braces are closed.
void Lowering::end_scope(const clang::VarDecl* variable, clang::SourceLocation at) {
  const clang::QualType type = variable->getType();
  const bool record = type->isRecordType() && !holds_references(type);
  // What pointers in it lead to lives on.
  if (!is_plain(type) && !record) return;
  if (!type->isArrayType() && !unit_.exposed.contains(variable)) return;
  const Path memory = paths_.of(variable);
  if (memory.root != Root::local || !memory.dies) return;
  Event& event = emit(Op::leave, at);
  event.frame = -1;
  event.accesses.push_back({memory, true, false});
  event.text = fmt::format("`{}` ends", variable->getNameAsString());
}

void Lowering::destroy(const clang::CFGImplicitDtor& element) {
  const auto automatic = element.getAs<clang::CFGAutomaticObjDtor>();
  if (!automatic) return;
  const clang::VarDecl* variable = automatic->getVarDecl();
  // What has been handed on is not freed here.
  if (unit_.moved.contains(variable)) return;
  const clang::SourceLocation at = automatic->getTriggerStmt() != nullptr
                                       ? automatic->getTriggerStmt()->getEndLoc()
                                       : variable->getLocation();
  const clang::QualType type = variable->getType();
  if (end_object(paths_.of(variable), type, at)) return;
  if (is_reference_like(type) || !is_container(type)) return;
  free_memory(paths_.of(variable), at);
}

}  // namespace cajal::sync::frontend
