#include "sync/frontend/lower.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "clang/AST/DeclCXX.h"
#include "clang/AST/DeclObjC.h"
#include "clang/AST/ExprCXX.h"
#include "clang/AST/ExprObjC.h"
#include "clang/AST/StmtCXX.h"
#include "clang/Lex/Lexer.h"
#include "sync/frontend/guards.h"

namespace cajal::sync::frontend {
namespace {

bool sounds_like_waiting(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const std::string_view part : {"sync", "wait", "finish", "flush", "drain", "await",
                                      "barrier", "complet", "join", "fence"}) {
    if (name.find(part) != std::string::npos) return true;
  }
  return false;
}

void gather(const clang::Stmt* statement, std::vector<const clang::CompoundStmt*>& out) {
  if (statement == nullptr || llvm::isa<clang::LambdaExpr>(statement) ||
      llvm::isa<clang::BlockExpr>(statement)) {
    return;
  }
  if (const auto* compound = llvm::dyn_cast<clang::CompoundStmt>(statement)) {
    out.push_back(compound);
  }
  for (const clang::Stmt* child : statement->children()) gather(child, out);
}

/// Reading a variable that holds a queue or pointer touches no memory behind it.
bool touches_memory(const Event& event) {
  return event.op == Op::host &&
         std::any_of(event.accesses.begin(), event.accesses.end(), [](const Access& access) {
           const Path& path = access.path;
           return (path.fields.empty() ? path.name : path.fields.back()).find('&') ==
                  std::string::npos;
         });
}

bool ends_object(const clang::Decl* declaration) {
  const auto* method = llvm::dyn_cast<clang::ObjCMethodDecl>(declaration);
  return llvm::isa<clang::CXXDestructorDecl>(declaration) ||
         (method != nullptr && method->getSelector().getAsString() == "dealloc");
}

/// What of a statement runs first and in line with what stands before it.
clang::SourceRange head_of(const clang::Stmt* statement) {
  if (const auto* loop = llvm::dyn_cast<clang::ForStmt>(statement)) {
    return loop->getInit() != nullptr ? loop->getInit()->getSourceRange() : clang::SourceRange();
  }
  if (const auto* branch = llvm::dyn_cast<clang::IfStmt>(statement)) {
    return branch->getInit() == nullptr && branch->getCond() != nullptr
               ? branch->getCond()->getSourceRange()
               : clang::SourceRange();
  }
  if (const auto* choice = llvm::dyn_cast<clang::SwitchStmt>(statement)) {
    return choice->getCond()->getSourceRange();
  }
  const bool in_line = llvm::isa<clang::Expr>(statement) || llvm::isa<clang::DeclStmt>(statement) ||
                       llvm::isa<clang::ReturnStmt>(statement);
  return in_line ? statement->getSourceRange() : clang::SourceRange();
}

}  // namespace

std::vector<const clang::CompoundStmt*> compounds_of(const clang::Stmt* body) {
  std::vector<const clang::CompoundStmt*> out;
  gather(body, out);
  return out;
}

Lowering::Lowering(Unit& unit, int index, const clang::Decl* declaration, const clang::Stmt* body)
    : unit_(unit),
      index_(index),
      declaration_(declaration),
      body_(body),
      paths_(unit, index, declaration) {}

unsigned Lowering::offset(clang::SourceLocation at) const {
  return unit_.sources().getFileOffset(unit_.sources().getFileLoc(at));
}

std::string Lowering::text(clang::SourceRange range) const {
  const auto& sources = unit_.sources();
  const auto begin = sources.getFileLoc(range.getBegin());
  const auto end = sources.getFileLoc(range.getEnd());
  return clang::Lexer::getSourceText(clang::CharSourceRange::getTokenRange(begin, end), sources,
                                     unit_.context.getLangOpts())
      .str();
}

Event& Lowering::emit(Op op, clang::SourceLocation at) {
  auto& events = function().blocks[block_].events;
  events.emplace_back();
  events.back().op = op;
  events.back().line = unit_.line(at);
  return events.back();
}

void Lowering::flush_aliases(clang::SourceLocation at) {
  for (Event& pending : paths_.take_pending()) {
    pending.line = unit_.line(at);
    function().blocks[block_].events.push_back(std::move(pending));
  }
}

Path Lowering::path(const clang::Expr* expression) {
  Path found = paths_.of(expression);
  if (expression != nullptr) flush_aliases(expression->getExprLoc());
  return found;
}

void Lowering::run() {
  clang::CFG::BuildOptions options;
  options.setAllAlwaysAdd();
  options.AddImplicitDtors = true;
  options.AddLifetime = true;
  options.AddTemporaryDtors = false;
  options.AddInitializers = true;
  options.AddEHEdges = true;
  options.PruneTriviallyFalseEdges = true;
  const auto cfg =
      clang::CFG::buildCFG(declaration_, const_cast<clang::Stmt*>(body_), &unit_.context, options);
  if (cfg == nullptr) {
    function().opaque = "its control flow is not understood";
    function().blocks.resize(1);
    return;
  }
  name_constructed(body_);
  function().blocks.resize(cfg->getNumBlockIDs() + 1);
  function().entry = static_cast<int>(cfg->getEntry().getBlockID());
  function().exit = static_cast<int>(cfg->getExit().getBlockID());
  // Clang numbers blocks from the exit upwards, so this is close to the order of the source.
  std::vector<const clang::CFGBlock*> blocks(cfg->begin(), cfg->end());
  std::sort(blocks.begin(), blocks.end(), [](const auto* one, const auto* other) {
    return one->getBlockID() > other->getBlockID();
  });
  for (const clang::CFGBlock* block : blocks) lower_block(*cfg, *block);
  settle();
}

/// A constructor that initialises a variable makes that variable.
void Lowering::name_constructed(const clang::Stmt* statement) {
  if (statement == nullptr) return;
  if (const auto* declared = llvm::dyn_cast<clang::DeclStmt>(statement)) {
    for (const clang::Decl* one : declared->decls()) {
      const auto* variable = llvm::dyn_cast<clang::VarDecl>(one);
      if (variable == nullptr || variable->getInit() == nullptr) continue;
      const clang::Expr* init = bare(variable->getInit());
      if (llvm::isa_and_nonnull<clang::CXXConstructExpr>(init) &&
          !is_reference_like(variable->getType())) {
        paths_.named_values[init] = paths_.of(variable);
      }
    }
  }
  for (const clang::Stmt* child : statement->children()) name_constructed(child);
}

void Lowering::lower_block(const clang::CFG& cfg, const clang::CFGBlock& block) {
  static_cast<void>(cfg);
  block_ = static_cast<int>(block.getBlockID());
  for (const clang::CFGElement& element : block) lower(element);
  link(block);
}

void Lowering::link(const clang::CFGBlock& block) {
  if (block.hasNoReturnElement()) return;  // The program ends there.
  const bool call_may_throw = block.getTerminatorStmt() == nullptr && block.succ_size() > 1;
  unsigned position = 0;
  for (const auto& successor : block.succs()) {
    const clang::CFGBlock* next = successor.getReachableBlock();
    const bool thrown = call_may_throw && position++ > 0;
    if (next == nullptr) continue;
    // Nearly every call may throw in theory; what leaves the function that way is not counted.
    if (thrown && static_cast<int>(next->getBlockID()) == function().exit) continue;
    function().blocks[block_].next.push_back(static_cast<int>(next->getBlockID()));
  }
}

void Lowering::lower(const clang::CFGElement& element) {
  if (const auto piece = element.getAs<clang::CFGStmt>()) {
    emit_marks(piece->getStmt());
    statement(piece->getStmt());
  } else if (const auto initial = element.getAs<clang::CFGInitializer>()) {
    const clang::CXXCtorInitializer* init = initial->getInitializer();
    if (init->isAnyMemberInitializer() && init->getInit() != nullptr) {
      Path target;
      target.root = Root::self;
      const auto* method = llvm::dyn_cast<clang::CXXMethodDecl>(declaration_);
      target.name = method != nullptr ? method->getParent()->getNameAsString() : "self";
      target = target.field(without_underscores(init->getAnyMember()->getNameAsString()));
      target.handle = is_handle(init->getAnyMember()->getType());
      assign(target, init->getAnyMember()->getType(), init->getInit());
    }
    if (init->isBaseInitializer() && init->getInit() != nullptr) {
      // What the base class's constructor makes is this object.
      const Path made = path(init->getInit());
      Event& event = emit(Op::alias, init->getSourceLocation());
      event.target = paths_.self();
      event.source = made;
    }
  } else if (const auto destroyed = element.getAs<clang::CFGImplicitDtor>()) {
    destroy(*destroyed);
  } else if (const auto ended = element.getAs<clang::CFGLifetimeEnds>()) {
    end_scope(ended->getVarDecl(), ended->getTriggerStmt()->getEndLoc());
  }
}

void Lowering::statement(const clang::Stmt* statement) {
  if (const auto* cast = llvm::dyn_cast<clang::ImplicitCastExpr>(statement)) {
    if (cast->getCastKind() == clang::CK_LValueToRValue) read(cast->getSubExpr());
  } else if (const auto* binary = llvm::dyn_cast<clang::BinaryOperator>(statement)) {
    if (binary->getOpcode() == clang::BO_Assign) {
      assign(binary->getLHS(), binary->getRHS());
    } else if (binary->isCompoundAssignmentOp()) {
      access(binary->getLHS(), true, true);
    }
  } else if (const auto* unary = llvm::dyn_cast<clang::UnaryOperator>(statement)) {
    if (unary->isIncrementDecrementOp()) access(unary->getSubExpr(), true, true);
  } else if (const auto* declared = llvm::dyn_cast<clang::DeclStmt>(statement)) {
    declare(declared);
  } else if (const auto* back = llvm::dyn_cast<clang::ReturnStmt>(statement)) {
    give_back(back);
  } else if (const auto* gone = llvm::dyn_cast<clang::CXXDeleteExpr>(statement)) {
    remove(gone);
  } else if (const auto* bound = llvm::dyn_cast<clang::CXXBindTemporaryExpr>(statement)) {
    end_temporary(bound);
  } else if (const auto* loop = llvm::dyn_cast<clang::ObjCForCollectionStmt>(statement)) {
    enumerate(loop);
  } else if (const auto* made = llvm::dyn_cast<clang::CXXConstructExpr>(statement)) {
    construct(made);
  } else if (llvm::isa<clang::CallExpr>(statement) ||
             llvm::isa<clang::ObjCMessageExpr>(statement)) {
    call(llvm::cast<clang::Expr>(statement));
  }
}

/// The braces in which the call is a statement of its own; null where it is none.
const clang::CompoundStmt* Lowering::compound_with(const clang::Expr* call) const {
  for (const clang::CompoundStmt* compound : compounds_of(body_)) {
    for (const clang::Stmt* child : compound->body()) {
      const auto* whole = llvm::dyn_cast<clang::Expr>(child);
      if (whole != nullptr && bare(whole) == bare(call)) return compound;
    }
  }
  return nullptr;
}

int Lowering::add_wait(const clang::Expr* call, const Path& target, Settled settled,
                       const std::string& why) {
  const auto& sources = unit_.sources();
  const auto at = call->getBeginLoc();
  const int wait = static_cast<int>(unit_.result.program.waits.size());
  WaitSite site;
  site.file = 0;
  site.line = unit_.line(call->getExprLoc());
  site.column = sources.getExpansionColumnNumber(at);
  site.function = function().name;
  site.call = text(call->getSourceRange());
  site.settled = settled;
  site.why = why;
  WaitText where;
  const bool in_body = sources.isMacroBodyExpansion(call->getBeginLoc()) ||
                       sources.isMacroBodyExpansion(call->getEndLoc());
  if (in_body && settled == Settled::no) {
    site.settled = Settled::unknown;
    site.why = "the wait stands in a macro";
  }
  if (!in_body && unit_.in_main(at)) {
    where.writable = true;
    where.begin = offset(call->getBeginLoc());
    where.end = offset(clang::Lexer::getLocForEndOfToken(sources.getFileLoc(call->getEndLoc()), 0,
                                                         sources, unit_.context.getLangOpts()));
  }
  if (!at.isMacroID() && compound_with(call) != nullptr) {
    where.statement_begin = where.begin;
    where.statement_end = where.end;
  }
  unit_.result.program.waits.push_back(site);
  unit_.result.wait_texts.push_back(where);
  unit_.result.seen_waits.insert(site.line);
  add_anchors(wait, call);
  Event& event = emit(Op::wait, call->getExprLoc());
  event.target = target;
  event.wait = wait;
  event.traits.guarded = depends_on_progress(unit_, body_, call);
  return wait;
}

void Lowering::add_anchors(int wait, const clang::Expr* call) {
  if (call->getBeginLoc().isMacroID()) return;
  const unsigned at = offset(call->getBeginLoc());
  const clang::CompoundStmt* home = nullptr;
  for (const clang::CompoundStmt* compound : compounds_of(body_)) {
    if (offset(compound->getBeginLoc()) <= at && at <= offset(compound->getEndLoc())) {
      home = compound;
    }
  }
  if (home == nullptr) return;
  bool after = false;
  for (const clang::Stmt* child : home->body()) {
    if (after && !child->getBeginLoc().isMacroID()) {
      const clang::SourceRange head = head_of(child);
      if (head.isValid() && !head.getBegin().isMacroID()) {
        anchors_.push_back({offset(head.getBegin()), offset(head.getEnd()),
                            unit_.line(child->getBeginLoc()), wait});
      }
    }
    if (offset(child->getBeginLoc()) <= at && at <= offset(child->getEndLoc())) {
      // A wait in the condition of a statement has no later sibling that always follows.
      after = llvm::isa<clang::Expr>(child) || llvm::isa<clang::DeclStmt>(child);
    }
  }
}

void Lowering::emit_marks(const clang::Stmt* statement) {
  if (anchors_.empty() || statement->getBeginLoc().isInvalid()) return;
  const unsigned at = offset(statement->getBeginLoc());
  for (std::size_t i = 0; i < anchors_.size();) {
    if (at < anchors_[i].begin || at > anchors_[i].end) {
      ++i;
      continue;
    }
    auto& events = function().blocks[block_].events;
    events.emplace_back();
    events.back().op = Op::mark;
    events.back().line = anchors_[i].line;
    events.back().wait = anchors_[i].wait;
    anchors_.erase(anchors_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

/// Waits whose purpose the function's own shape shows.
void Lowering::settle() {
  std::vector<int> waits;
  bool works = false;
  std::vector<unsigned> busy;
  for (const Block& block : function().blocks) {
    for (const Event& event : block.events) {
      if (event.op == Op::wait && event.wait >= 0) waits.push_back(event.wait);
      const bool submits = event.op == Op::commit || event.op == Op::submit ||
                           event.op == Op::encode || event.op == Op::make;
      works = works || submits || touches_memory(event) || event.op == Op::call;
      if (submits || event.op == Op::host) busy.push_back(event.line);
    }
  }
  auto& sites = unit_.result.program.waits;
  for (const int wait : waits) {
    WaitSite& site = sites[wait];
    if (!capture_.empty() && site.settled == Settled::no) {
      site.settled = Settled::unknown;
      site.why = capture_;
    }
    if (site.settled != Settled::no) continue;
    if (ends_object(declaration_)) {
      site.settled = Settled::contract;
      site.why = "an object that ends waits for its work";
      continue;
    }
    if (waits.size() == 1 && !works && sounds_like_waiting(function().name)) {
      site.settled = Settled::contract;
      site.why = fmt::format("waiting is what `{}` is for", function().name);
      continue;
    }
    const bool started = std::any_of(clocks_.begin(), clocks_.end(),
                                     [&](unsigned line) { return line < site.line; });
    for (const unsigned line : clocks_) {
      const bool close = line >= site.line && line <= site.line + 4;
      const bool clear = std::none_of(busy.begin(), busy.end(), [&](unsigned other) {
        return other > site.line && other < line;
      });
      if (!started || !close || !clear) continue;
      site.settled = Settled::timing;
      site.why = fmt::format("the clock is read at {}", line);
    }
  }
}

}  // namespace cajal::sync::frontend
